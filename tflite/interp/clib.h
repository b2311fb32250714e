// What interp.go needs of the TensorFlow Lite C library besides go-tflite.
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <tensorflow/lite/c/c_api.h>

// messages gathers what the library says through an error reporter, up to a
// bound.
typedef struct {
  int len;
  char text[2000];
} messages;

static void hear(void* to, const char* format, va_list args) {
  messages* m = to;
  if (m->len > 0 && m->len < (int)sizeof m->text - 1) m->text[m->len++] = ' ';
  int room = sizeof m->text - m->len;
  int n = vsnprintf(m->text + m->len, room, format, args);
  if (n > 0) m->len += n < room ? n : room - 1;
}

static messages* listen(TfLiteInterpreterOptions* options) {
  messages* m = calloc(1, sizeof *m);
  if (m == NULL) abort();
  TfLiteInterpreterOptionsSetErrorReporter(options, hear, m);
  return m;
}

// The fetched library exports these but comes without their headers.
TfLiteStatus TfLiteInterpreterModifyGraphWithDelegate(const TfLiteInterpreter*, TfLiteDelegate*);

// XNNPACK is weak, since a library may be built without it. Later versions of it
// have more options, which are all off when they are 0.
typedef struct {
  int32_t threads;
  uint32_t flags;  // 0: float operators only
  char more[120];
} xnnpack_options;

extern __attribute__((weak)) TfLiteDelegate* TfLiteXNNPackDelegateCreate(const xnnpack_options*);
extern __attribute__((weak)) void TfLiteXNNPackDelegateDelete(TfLiteDelegate*);

static TfLiteDelegate* new_xnnpack(int threads) {
  xnnpack_options options = {.threads = threads};
  return TfLiteXNNPackDelegateCreate ? TfLiteXNNPackDelegateCreate(&options) : NULL;
}

static void delete_xnnpack(TfLiteDelegate* d) {
  if (d) TfLiteXNNPackDelegateDelete(d);
}

// mute_xnnpack makes and drops a delegate with stderr turned away. Others who
// write to stderr in these microseconds are not heard either.
static void mute_xnnpack(void) {
  int old = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
  int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (old >= 0 && null >= 0) {
    dup2(null, STDERR_FILENO);
    delete_xnnpack(new_xnnpack(1));
    dup2(old, STDERR_FILENO);
  }
  if (old >= 0) close(old);
  if (null >= 0) close(null);
}
