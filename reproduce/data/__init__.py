"""Any source of CIFAR-10, checked, as one Dataset."""
