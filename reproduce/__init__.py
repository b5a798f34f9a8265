from reproduce.compat import import_chainer

import_chainer()
