# make          build bin/dfq and run it on the model in testdata
# make build    bin/dfq alone; make setup fetches the C library alone
# make test     every test, and a short run of each fuzz target; test-go, test-tflite
#               and test-fuzz are its parts
# make check    formatting, vet, staticcheck, go.mod, generated code, no fused
#               multiply-adds, the same bytes on arm64, sizes; check-format, check-vet,
#               check-mod, check-generate, check-fused, check-arm64 and size are its parts
# make race     the tests with the interpreter, under the race detector
# make fuzz     two minutes of each fuzz target
# make bench    benchmarks
# make models   the tests that use real models, make accuracy their tables, make
#               statistics how close made-up inputs come to photographs, and make
#               targets what each runtime and NPU takes of the models: all four need
#               a folder ../shared of models and images
# make env      what to evaluate for plain go commands:  eval "$(make env)"
# make clean    remove bin and the C library that was fetched
#
# Needed: Go, a C compiler, npm (for the TensorFlow Lite C library).
# TFLITE_DIR=/path takes your own libtensorflowlite_c instead: a folder with
# include/tensorflow/lite/... and lib/libtensorflowlite_c.so (.dylib on macOS).

ifdef TFLITE_DIR
LIB := $(abspath $(TFLITE_DIR))
else
LIB := $(CURDIR)/.tflite
FETCH = CGO_ENABLED=0 go run ./tflite/interp/fetch -dir .tflite
endif
STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME = 5s

# A binary looks for the library beside itself, then in the checkout.
HERE := $(if $(filter Darwin,$(shell uname -s)),@loader_path,$$ORIGIN)
export CGO_CFLAGS := -O2 -g '-I$(LIB)/include' '-I$(CURDIR)/tflite/interp/include'
export CGO_LDFLAGS := '-L$(LIB)/lib' '-Wl,-rpath,$(HERE)' '-Wl,-rpath,$(LIB)/lib'

.PHONY: all setup build env test test-go test-tflite test-fuzz models accuracy statistics targets race bench fuzz \
	check check-format check-vet check-mod check-generate check-fused check-arm64 size clean

all: build
	bin/dfq convert testdata/digits.tflite -o bin/digits_int8.tflite
	bin/dfq verify testdata/digits.tflite bin/digits_int8.tflite --images testdata/digits --labels testdata/digits/labels.txt

setup:
	@$(FETCH)
	@ls '$(LIB)'/lib/libtensorflowlite_c.* >/dev/null

build: setup
	mkdir -p bin
	go build -tags tflite -o bin/dfq ./cmd/dfq
	rm -f bin/libtensorflowlite_c.*
	cp '$(LIB)'/lib/libtensorflowlite_c.* bin/

# The values are quoted twice: for the shell, and inside for the go command.
env: setup
	@printf 'export CGO_ENABLED=1 CGO_CFLAGS="%s" CGO_LDFLAGS="%s"\n' "$$CGO_CFLAGS" "$$(printf %s "$$CGO_LDFLAGS" | sed 's/\$$/\\$$/g')"

test: test-go test-tflite test-fuzz

# The tests named Shared are of real models: make models runs them.
test-go:
	CGO_ENABLED=0 go test -skip Shared ./...

test-tflite: setup
	go test -tags tflite -skip Shared ./...

# The real models beside the checkout, each by name.
models: setup
	go test -tags tflite -count 1 -timeout 30m -v -run Shared ./...

# The tables of the README, on the models and images beside the checkout.
accuracy: setup
	go run -tags tflite ./cmd/accuracy -shared ../shared

# How close the statistics of made-up inputs come to those of photographs.
statistics: setup
	@go run -tags tflite ./cmd/accuracy -shared ../shared -statistics

# The table of models and targets of the README. It asks Vela where it is there.
targets:
	@CGO_ENABLED=0 go run ./cmd/accuracy -shared ../shared -targets

race: setup
	go test -race -timeout 30m -tags tflite -skip Shared ./...

bench: setup
	go test -tags tflite -run '^$$' -bench . -benchmem ./...

# Minimizing what is merely new takes minutes, so it gets few tries. Before Go 1.27
# the end of the time may be reported as a failure (go.dev/issue/75804); a real one
# left its input in testdata, where the second command finds it.
test-fuzz:
	@pkgs=$$(go list ./...) || exit 1; \
	for pkg in $$pkgs; do \
		list=$$(CGO_ENABLED=0 go test -list '^Fuzz' "$$pkg") || { echo "$$list"; exit 1; }; \
		for f in $$(echo "$$list" | grep '^Fuzz'); do \
			echo "go test -fuzz $$f -fuzztime $(FUZZTIME) $$pkg"; \
			CGO_ENABLED=0 go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x "$$pkg" || \
			CGO_ENABLED=0 go test -count 1 -run "^$$f\$$" "$$pkg" || exit 1; \
		done \
	done

fuzz:
	$(MAKE) test-fuzz FUZZTIME=2m

check: check-format check-vet check-mod check-generate check-fused check-arm64 size

check-format:
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted: $$files"; exit 1; }

check-vet: setup
	CGO_ENABLED=0 go vet ./...
	go vet -tags tflite ./...
	CGO_ENABLED=0 $(STATICCHECK) ./...
	$(STATICCHECK) -tags tflite ./...

check-mod:
	go mod tidy -diff

# Only this version of flatc writes the very same file.
check-generate:
	@case "$$(flatc --version 2>&1)" in \
	*' 2.0.8') \
		old=$$(mktemp) && cp schema/schema_generated.go "$$old" && go generate ./schema && \
		{ cmp schema/schema_generated.go "$$old" && rm "$$old" || { echo 'schema_generated.go was not current; it is now'; rm "$$old"; exit 1; }; } ;; \
	*) echo 'generated code not compared: that needs flatc 2.0.8 (Debian: flatbuffers-compiler)' ;; \
	esac

# A fused multiply-add rounds once where other processors round twice, so that files would
# differ between them. A conversion, float64(x*y), forbids it.
check-fused:
	@asm=$$(mktemp) && trap 'rm -f "$$asm"' EXIT && \
	{ GOARCH=arm64 CGO_ENABLED=0 go build -gcflags='dfq/...=-S' ./dfq ./tflite ./cmd/dfq > "$$asm" 2>&1 || { cat "$$asm"; exit 1; }; } && \
	! grep -E '[[:space:]]FN?M(ADD|SUB)[SD][[:space:]]' "$$asm" || { echo 'fused multiply-adds: write float64(x*y)'; exit 1; }

# That the arm64 program, without the interpreter, writes the same files of these models.
MODELS = testdata/digits.tflite
QEMU = $(firstword $(foreach q,qemu-aarch64-static qemu-aarch64,$(shell command -v $(q))))
check-arm64:
	@test -n '$(QEMU)' || { echo 'files of an arm64 program not compared: that needs qemu-aarch64 (Debian: qemu-user-static)'; exit 0; }; \
	out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && \
	CGO_ENABLED=0 go build -o "$$out/here" ./cmd/dfq && CGO_ENABLED=0 GOARCH=arm64 go build -o "$$out/arm64" ./cmd/dfq && \
	for model in $(MODELS); do for mode in '' --per-tensor; do \
		"$$out/here" convert $$model $$mode --allow-float --quiet -o "$$out/a.tflite" && \
		$(QEMU) "$$out/arm64" convert $$model $$mode --allow-float --quiet -o "$$out/b.tflite" && \
		cmp "$$out/a.tflite" "$$out/b.tflite" && rm "$$out"/?.tflite || { echo "$$model $$mode: another file on arm64"; exit 1; }; \
	done; done

size:
	@CGO_ENABLED=0 go run ./internal/size

clean:
	rm -rf bin .tflite
