# SPDX-License-Identifier: MIT
# The front door; meson and ninja do the work. `make help` lists the doors.
#
# O=DIR puts the build folders somewhere else, JOBS=N limits the jobs at once. CROSS=riscv64 or arm64 builds for that host
# against a sysroot of Debian packages (scripts/cross/sysroot).

O ?= .
CROSS ?=
DESTDIR ?=
PREFIX ?= /usr/local
MESON ?= meson
NINJA = ninja $(if $(JOBS),-j$(JOBS))

# A build folder's name says what is in it.
BUILD := $(O)/build$(if $(CROSS),-$(CROSS))
RELEASE := -Dbuildtype=debugoptimized
CROSSFILES = $(if $(CROSS),--cross-file scripts/cross/$(CROSS).ini \
	--cross-file $(shell scripts/cross/sysroot --file $(CROSS)) -Dtests=false)

.PHONY: all setup cross-sysroot debug asan tsan run check bench conformance fuzz install clean help
all: $(BUILD)/build.ninja
	@$(NINJA) -C $(BUILD)
	@cd $(BUILD) && for f in src/cli/softvirt src/digest/softvirt-digest \
		src/shim/libsoftvirt-preload.so; do [ ! -e $$f ] || ln -sf $$f .; done

help:
	@echo "make [CROSS=riscv64|arm64]  build into build/ (build-riscv64/, build-arm64/)"
	@echo "make run                    boot Debian's riscv64 kernel to a shell"
	@echo "make check                  every test, in release and under the sanitizers"
	@echo "make bench|conformance|fuzz speed, Linux's own tests, ten minutes of fuzzing each"
	@echo "make debug|asan|tsan        other builds, into build-debug/ and so on"
	@echo "make install [DESTDIR=] [PREFIX=/usr/local]   make clean"

setup:
	@scripts/setup

cross-sysroot:
	@$(if $(CROSS),scripts/setup cross && scripts/cross/sysroot $(CROSS))

$(BUILD)/build.ninja: | setup cross-sysroot
	@$(MESON) setup $(BUILD) . $(RELEASE) --prefix=$(PREFIX) $(CROSSFILES)

$(O)/build-debug/build.ninja: | setup
	@$(MESON) setup $(O)/build-debug . -Dbuildtype=debug
$(O)/build-asan/build.ninja: | setup
	@$(MESON) setup $(O)/build-asan . -Dbuildtype=debugoptimized -Doptimization=1 \
		-Db_sanitize=address,undefined -Db_lundef=false
$(O)/build-tsan/build.ninja: | setup
	@$(MESON) setup $(O)/build-tsan . -Dbuildtype=debugoptimized \
		-Db_sanitize=thread -Db_lundef=false
$(O)/build-fuzz/build.ninja: | setup
	@scripts/setup fuzz
	@CC=clang $(MESON) setup $(O)/build-fuzz . -Dbuildtype=debugoptimized -Dfuzz=true \
		-Db_sanitize=address,undefined -Db_lundef=false

debug asan tsan: %: $(O)/build-%/build.ninja
	@$(NINJA) -C $(O)/build-$@

run: all
	@$(BUILD)/softvirt fetch debian-riscv64
	@$(BUILD)/softvirt boot debian-riscv64

check: all asan tsan
	@tests/run $(O)

bench: all
	@bench/run --build $(BUILD)
	@$(BUILD)/bench/bench-kvm-events
	@$(BUILD)/bench/bench-dmabuf
	@$(BUILD)/bench/bench-iommu
	@$(BUILD)/bench/bench-vfio
	@$(BUILD)/bench/bench-fp
	@bench/digest --build $(BUILD)

conformance: all
	@scripts/setup conformance
	@$(MAKE) --no-print-directory CROSS=riscv64 all
	@$(MAKE) --no-print-directory CROSS=arm64 all
	@tests/hosts/run $(O)
	@tests/conformance/run --build $(O)/build-riscv64

fuzz: $(O)/build-fuzz/build.ninja
	@$(NINJA) -C $(O)/build-fuzz
	@tests/fuzz/run $(O)/build-fuzz

install: all
	@DESTDIR="$(if $(DESTDIR),$(abspath $(DESTDIR)))" $(MESON) install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(O)/build $(O)/build-debug $(O)/build-asan $(O)/build-tsan $(O)/build-fuzz \
		$(O)/build-riscv64 $(O)/build-arm64
