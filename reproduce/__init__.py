from reproduce.compat import prepare_for_chainer

prepare_for_chainer()
