"""Train the digit classifier of this directory and convert it to .tflite.

    python3.11 -m venv venv
    venv/bin/pip install -r testdata/requirements.txt
    venv/bin/python testdata/train_digits.py               # write digits.tflite and digits/
    venv/bin/python testdata/train_digits.py --reference   # measure them; write nothing

The data are the 1797 handwritten digits inside scikit-learn, 8x8 pixels of
0..16, enlarged here to 32x32 pixels of 0..255. The network sees x/127.5 - 1.
Every fifth image (index 0, 5, 10 ...) is held out: it is never trained on.

The network is a small MobileNetV2. Its weights are what training left and the
converter made of it by folding each batch norm into the convolution before it;
nothing else touches them.
"""

import argparse
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator

HERE = pathlib.Path(__file__).resolve().parent
NAMES = "zero one two three four five six seven eight nine".split()

SEED = 3
HOLD = 5  # every fifth image is held out
SIZE = 32
BATCH = 32
EPOCHS = 40
# A high rate and a small epsilon leave some channels nearly silent before their
# batch norm, which then scales them up: folded, the channels of one depthwise
# filter differ in range by a factor of hundreds, as they do in MobileNetV2.
RATE = 0.4
EPSILON = 1e-8
DECAY = 1e-3  # L2 penalty on the kernels before a batch norm

# Inverted residuals: expansion, output channels, stride.
BLOCKS = [(1, 8, 1), (6, 16, 2), (6, 16, 1), (6, 24, 2), (6, 24, 1)]


def load():
    """Return all images, uint8 [n, SIZE, SIZE, 1], their classes, and which are held out."""
    digits = load_digits()
    images = tf.image.resize(digits.images[..., np.newaxis] * (255 / 16), (SIZE, SIZE), "bicubic")
    images = np.clip(np.rint(images), 0, 255).astype(np.uint8)
    return images, digits.target, np.arange(len(images)) % HOLD == 0


def scale(images):
    """Map pixels of 0..255 to the network's [-1, 1]."""
    return images.astype(np.float32) / 127.5 - 1


def norm(x, name, relu):
    x = layers.BatchNormalization(momentum=0.9, epsilon=EPSILON, name=name + "_bn")(x)
    return layers.ReLU(6, name=name + "_relu6")(x) if relu else x


def conv(x, channels, name, size=1, stride=1, relu=True):
    x = layers.Conv2D(channels, size, stride, "same", use_bias=False, name=name,
                      kernel_regularizer=keras.regularizers.L2(DECAY))(x)
    return norm(x, name, relu)


def depthwise(x, name, stride):
    x = layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=name,
                               depthwise_regularizer=keras.regularizers.L2(DECAY))(x)
    return norm(x, name, relu=True)


def build():
    """Return the untrained network: image [n, SIZE, SIZE, 1] to logits [n, 10]."""
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


def train(images, classes):
    """Return the network, trained on images turned, moved and zoomed a little."""
    black = dict(fill_mode="constant", fill_value=-1.0, seed=SEED)
    distort = keras.Sequential([
        layers.RandomRotation(0.03, **black),
        layers.RandomTranslation(0.08, 0.08, **black),
        layers.RandomZoom(0.1, 0.1, **black),
    ])
    data = tf.data.Dataset.from_tensor_slices((images, classes))
    data = data.shuffle(len(images), seed=SEED).batch(BATCH, drop_remainder=True)
    data = data.map(lambda x, y: (distort(x, training=True), y)).prefetch(2)
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * len(data))
    model = build()
    model.compile(keras.optimizers.SGD(rate, momentum=0.9),
                  keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(data, epochs=EPOCHS, shuffle=False, verbose=2)
    return model


def convert(model):
    """Return the network as a float .tflite with a batch of one."""
    image = tf.TensorSpec((1, SIZE, SIZE, 1), name="image")
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", lambda x: {"logits": model(x, training=False)}, [image])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        return tf.lite.TFLiteConverter.from_saved_model(folder).convert()


def quantize(flatbuffer, images, per_channel):
    """Return the INT8 model that TensorFlow's own quantizer makes, calibrated on images."""
    calibrated = Calibrator(flatbuffer).calibrate(lambda: ([x[np.newaxis]] for x in images))
    return mlir_quantize(calibrated, disable_per_channel=not per_channel)


def accuracy(flatbuffer, images, classes):
    """Return the percentage of images whose greatest logit is their class."""
    interpreter = tf.lite.Interpreter(model_content=flatbuffer)
    interpreter.allocate_tensors()
    image, logits = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    hits = 0
    for x, y in zip(images, classes):
        interpreter.set_tensor(image["index"], x[np.newaxis])
        interpreter.invoke()
        hits += interpreter.get_tensor(logits["index"])[0].argmax() == y
    return 100 * hits / len(classes)


def write_held_out(images, classes):
    """Write digits/*.png and digits/labels.txt, whose lines are file, class, name."""
    folder = HERE / "digits"
    folder.mkdir(exist_ok=True)
    lines = []
    for i, (image, y) in enumerate(zip(images, classes)):
        file = f"{i * HOLD:04}.png"
        (folder / file).write_bytes(tf.io.encode_png(image, compression=9).numpy())
        lines.append(f"{file} {y} {NAMES[y]}\n")
    (folder / "labels.txt").write_text("".join(lines))


def read_held_out():
    """Return the images and classes that write_held_out left."""
    rows = [line.split() for line in (HERE / "digits/labels.txt").read_text().splitlines()]
    images = [tf.io.decode_png((HERE / "digits" / row[0]).read_bytes()).numpy() for row in rows]
    return np.stack(images), np.array([int(row[1]) for row in rows])


def main():
    parser = argparse.ArgumentParser(description="train the digit classifier, or measure it")
    parser.add_argument("--reference", action="store_true", help="measure the files that are there")
    reference = parser.parse_args().reference
    tf.config.threading.set_intra_op_parallelism_threads(2)
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()

    images, classes, held = load()
    trained = scale(images[~held])
    if not reference:
        model = train(trained, classes[~held])
        (HERE / "digits.tflite").write_bytes(convert(model))
        write_held_out(images[held], classes[held])

    flatbuffer = (HERE / "digits.tflite").read_bytes()
    images, classes = read_held_out()
    models = {"float": flatbuffer}
    if reference:
        models["INT8 per-channel"] = quantize(flatbuffer, trained, per_channel=True)
        models["INT8 per-tensor"] = quantize(flatbuffer, trained, per_channel=False)
    for name, model in models.items():
        print(f"{name}: {accuracy(model, scale(images), classes):.1f} %")


if __name__ == "__main__":
    main()
