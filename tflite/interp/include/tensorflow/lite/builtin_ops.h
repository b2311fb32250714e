// The fetched C library comes without this header, which go-tflite includes.
// go-tflite needs the name of the type alone: operator codes come as numbers.
#ifndef DFQ_TENSORFLOW_LITE_BUILTIN_OPS_H_
#define DFQ_TENSORFLOW_LITE_BUILTIN_OPS_H_

typedef enum {
  kTfLiteBuiltinAdd = 0,
} TfLiteBuiltinOperator;

#endif  // DFQ_TENSORFLOW_LITE_BUILTIN_OPS_H_
