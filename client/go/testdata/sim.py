# SPDX-License-Identifier: Apache-2.0
"""The class of the README's pool `sim`."""


class Sim:
    def predict(self, x):
        return 2.0 * x

    def learn(self, sample):
        pass

    def sharpen(self, image):
        return image
