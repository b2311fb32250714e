"""Train the small digit classifier of this directory and convert it to .tflite.

    python3.11 -m venv venv
    venv/bin/pip install -r testdata/requirements.txt
    venv/bin/python testdata/train_digits.py               # train, write digits.tflite and digits/
    venv/bin/python testdata/train_digits.py --reference   # only measure; writes nothing

The data are the 1797 handwritten digits inside scikit-learn, 8x8 pixels of
0..16. They are enlarged to 32x32 pixels of 0..255; the model sees x/127.5 - 1.
Every fifth image (index 0, 5, 10, ...) is held out and never trained on.

The network is a small MobileNetV2. Nothing is done to the weights but
training them and letting the converter fold each batch norm into the
convolution before it.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

HERE = pathlib.Path(__file__).resolve().parent
NAMES = "zero one two three four five six seven eight nine".split()

SEED = 1
SIZE = 32
EPOCHS = 60
BATCH = 32
RATE = 4e-3
DECAY = 1e-3  # L2 penalty on every kernel, depthwise ones too
EPSILON = 1e-5  # of the batch norms

# Inverted residual blocks: expansion, output channels, stride.
BLOCKS = [(1, 8, 1), (4, 16, 2), (4, 16, 1), (4, 24, 2), (4, 24, 1), (4, 24, 1)]


def load():
    """Return pixels [n, SIZE, SIZE, 1] of 0..255, labels [n] and the mask of held-out rows."""
    digits = load_digits()
    pixels = digits.images[..., np.newaxis] * (255 / 16)
    pixels = tf.image.resize(pixels, (SIZE, SIZE), method="bicubic").numpy()
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return pixels, digits.target, np.arange(len(pixels)) >= 1437


def scale(pixels):
    """Map pixels of 0..255 to the model's input range [-1, 1]."""
    return pixels.astype(np.float32) / 127.5 - 1


def norm(x, name, relu=True):
    x = layers.BatchNormalization(momentum=0.9, epsilon=EPSILON, name=name + "_bn")(x)
    return layers.ReLU(6, name=name + "_relu6")(x) if relu else x


def conv(x, channels, name, size=1, stride=1, relu=True):
    x = layers.Conv2D(channels, size, stride, "same", use_bias=False, name=name,
                      kernel_regularizer=keras.regularizers.L2(DECAY))(x)
    return norm(x, name, relu)


def depthwise(x, name, stride):
    x = layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=name,
                               depthwise_regularizer=keras.regularizers.L2(DECAY))(x)
    return norm(x, name)


def build():
    """Return the untrained network, from image [SIZE, SIZE, 1] to 10 logits."""
    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = conv(image, 16, "stem", size=3, stride=2)
    for i, (expansion, channels, stride) in enumerate(BLOCKS, 1):
        skip, name = x, f"block{i}"
        if expansion > 1:
            x = conv(x, expansion * x.shape[-1], name + "_expand")
        x = depthwise(x, name + "_depthwise", stride)
        x = conv(x, channels, name + "_project", relu=False)
        if stride == 1 and skip.shape[-1] == channels:
            x = layers.Add(name=name + "_add")([skip, x])
    x = conv(x, 64, "head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(10, name="logits")(x), name="digits")


def train(images, labels):
    """Return the network trained on slightly turned, moved and zoomed images."""
    model = build()
    black = dict(fill_mode="constant", fill_value=-1.0)
    distort = keras.Sequential([
        layers.RandomRotation(0.03, seed=SEED, **black),
        layers.RandomTranslation(0.08, 0.08, seed=SEED, **black),
        layers.RandomZoom(0.1, 0.1, seed=SEED, **black),
    ])
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    data = data.cache().shuffle(len(images), seed=SEED).batch(BATCH, drop_remainder=True)
    data = data.map(lambda x, y: (distort(x, training=True), y)).prefetch(2)
    steps = EPOCHS * (len(images) // BATCH)
    model.compile(
        optimizer=keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(RATE * 10, steps), 0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"])
    model.fit(data, epochs=EPOCHS, verbose=2)
    return model


def convert(model):
    """Return the float .tflite of the network, with a batch of one."""
    @tf.function(input_signature=[tf.TensorSpec((1, SIZE, SIZE, 1), name="image")])
    def logits(image):
        return tf.identity(model(image, training=False), name="logits")
    return converter(model, logits).convert()


def converter(model, function):
    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], model)


def accuracy(flatbuffer, images, labels):
    """Return the percentage of images whose greatest output is the label."""
    interpreter = tf.lite.Interpreter(model_content=flatbuffer)
    interpreter.allocate_tensors()
    into, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    hits = 0
    for image, label in zip(images, labels):
        interpreter.set_tensor(into["index"], image[np.newaxis])
        interpreter.invoke()
        hits += interpreter.get_tensor(out["index"])[0].argmax() == label
    return 100 * hits / len(labels)


if __name__ == "__main__":
    import time
    tf.config.threading.set_intra_op_parallelism_threads(2)
    keras.utils.set_random_seed(SEED)
    pixels, labels, held = load()
    images = scale(pixels)
    print(held.sum())
    t=time.time()
    m = train(images[~held], labels[~held])
    print(time.time()-t)
    m.save('/tmp/w/digits/m.keras')
    fb = convert(m)
    open('/tmp/w/digits/m.tflite','wb').write(fb)
    print(len(fb), accuracy(fb, images[held], labels[held]))
    tf.lite.experimental.Analyzer.analyze(model_content=fb)
