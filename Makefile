# make [PREFIX=/usr/local] [BUILD=build]; make install [DESTDIR=...]; make test; make clean
PREFIX ?= /usr/local
BUILD  ?= build
MESON  ?= meson

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	$(MESON) setup --prefix=$(PREFIX) $(BUILD)

install: all
	$(MESON) configure $(BUILD) -Dprefix=$(PREFIX)
	DESTDIR=$(DESTDIR) $(MESON) install -C $(BUILD) --quiet

test: all
	$(MESON) test -C $(BUILD) --print-errorlogs

clean:
	rm -rf $(BUILD)

.PHONY: all install test clean
