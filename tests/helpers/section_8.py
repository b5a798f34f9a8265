"""Section 8 of the report, transcribed to Python 3 and Chainer 7 and to nothing else, to compare ours with.

Only the network and the loop, without what augments the images, runs on a GPU and prints. Differences from the printed
code: print is a function, np.float is float, zerograds is cleargrads, and the two flags
that Chainer 1 took (`bn_bool` as `test`, `dropout_bool` as `train`) are Chainer 7's configuration. Every loss is kept.
"""

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import Chain, Variable, optimizers


class Section8_NN(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv1_1 = L.Convolution2D(3, 64, 3, pad=1)
            self.bn1_1 = L.BatchNormalization(64)
            self.conv1_2 = L.Convolution2D(64, 64, 3, pad=1)
            self.bn1_2 = L.BatchNormalization(64)
            self.conv2_1 = L.Convolution2D(64, 128, 3, pad=1)
            self.bn2_1 = L.BatchNormalization(128)
            self.conv2_2 = L.Convolution2D(128, 128, 3, pad=1)
            self.bn2_2 = L.BatchNormalization(128)
            self.conv3_1 = L.Convolution2D(128, 256, 3, pad=1)
            self.bn3_1 = L.BatchNormalization(256)
            self.conv3_2 = L.Convolution2D(256, 256, 3, pad=1)
            self.bn3_2 = L.BatchNormalization(256)
            self.conv3_3 = L.Convolution2D(256, 256, 3, pad=1)
            self.bn3_3 = L.BatchNormalization(256)
            self.conv3_4 = L.Convolution2D(256, 256, 3, pad=1)
            self.bn3_4 = L.BatchNormalization(256)
            self.fc4 = L.Linear(4 * 4 * 256, 500)
            self.fc5 = L.Linear(500, 500)
            self.fc6 = L.Linear(500, 10)

    def __call__(self, x_data, y_data, training, p):
        with chainer.using_config("train", training):
            x = Variable(x_data)
            t = Variable(y_data)
            h = F.relu(self.bn1_1(self.conv1_1(x)))
            h = F.relu(self.bn1_2(self.conv1_2(h)))
            h = F.max_pooling_2d(h, 2, 2)
            h = F.dropout(h, p)
            h = F.relu(self.bn2_1(self.conv2_1(h)))
            h = F.relu(self.bn2_2(self.conv2_2(h)))
            h = F.max_pooling_2d(h, 2, 2)
            h = F.dropout(h, p)
            h = F.relu(self.bn3_1(self.conv3_1(h)))
            h = F.relu(self.bn3_2(self.conv3_2(h)))
            h = F.relu(self.bn3_3(self.conv3_3(h)))
            h = F.relu(self.bn3_4(self.conv3_4(h)))
            h = F.max_pooling_2d(h, 2, 2)
            h = F.dropout(h, p)
            h = F.dropout(F.relu(self.fc4(h)), p)
            h = F.dropout(F.relu(self.fc5(h)), p)
            h = self.fc6(h)
            L_out = h
            return F.softmax_cross_entropy(L_out, t), F.accuracy(L_out, t)


def Calculate_Test_Accuracy(x_test, y_test, model, p, batch_size):
    L_Y_test = len(y_test)
    counter = 0
    test_accuracy_total = 0.0
    for i in range(0, L_Y_test, batch_size):
        x_batch = x_test[i : i + batch_size, :]
        y_batch = y_test[i : i + batch_size]
        _, accuracy = model(x_batch, y_batch, False, p)
        test_accuracy_batch = 100.0 * float(accuracy.data)
        test_accuracy_total += test_accuracy_batch
        counter += 1
    return test_accuracy_total / float(counter)


def section_8(x_train, y_train, x_test, y_test, seed, batch_size, num_epochs):
    """The losses of all iterations, and (train accuracy, test accuracy) of each epoch in percent."""
    np.random.seed(seed)
    model = Section8_NN()
    optimizer = optimizers.Adam(alpha=0.001, beta1=0.9, beta2=0.999, eps=1e-08)
    optimizer.setup(model)
    p = 0.40
    L_Y_train = len(y_train)
    losses, accuracies = [], []
    for _ in range(num_epochs):
        I_permutation = np.random.permutation(L_Y_train)
        x_train = x_train[I_permutation, :]
        y_train = y_train[I_permutation]
        epoch_accuracy = 0.0
        batch_counter = 0
        for i in range(0, L_Y_train, batch_size):
            x_batch = x_train[i : i + batch_size, :]
            y_batch = y_train[i : i + batch_size]
            model.cleargrads()
            loss, accuracy = model(x_batch, y_batch, True, p)
            loss.backward()
            optimizer.update()
            losses.append(float(loss.data))
            epoch_accuracy += float(accuracy.data)
            batch_counter += 1
        train_accuracy = 100.0 * epoch_accuracy / float(batch_counter)
        accuracies.append((train_accuracy, Calculate_Test_Accuracy(x_test, y_test, model, p, batch_size)))
    return losses, accuracies
