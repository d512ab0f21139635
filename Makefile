# SPDX-License-Identifier: GPL-2.0-only
#
# make            the module (for KDIR), attlsd, attls, libattls
# make demo       everything, shown in a guest
# make check      everything, tested in guests, on both kernels
# make check-debug   on a kernel that checks itself, with faults injected
# make check-stress  faults, load and pressure for hours, on all kernels
# make fuzz       the policy language and the matcher, SECONDS=60 for each
# make bench      what connections without a rule cost, in guests
# make help       the rest

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo 0.1)

KDIR	?= /lib/modules/$(shell uname -r)/build
O	?= build
PREFIX	?= /usr
SBINDIR	?= $(PREFIX)/sbin
LIBDIR	?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
PYTHONDIR ?= $(LIBDIR)/python3/dist-packages
SYSCONFDIR ?= /etc

V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$(2)'
else
say = @:
endif

CFLAGS	?= -O2 -g
WARN	:= -Wall -Wextra -Wno-unused-parameter -Wmissing-prototypes \
	   -Wstrict-prototypes -Wvla -Wshadow
HARDEN	:= -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CPPFLAGS += -D_GNU_SOURCE -DATTLS_VERSION='"$(VERSION)"' \
	    -DATTLS_DATA='"$(PREFIX)/share/attls"' \
	    -Iuapi -Ipolicy -Ikeyring \
	    -I$(O)/policy
PKGS	:= openssl libnl-genl-3.0 libcap-ng libseccomp libsystemd json-c \
	   ldap lber p11-kit-1
# Only when a program is built: `make help` works without the libraries.
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS))
NL_LIBS	= $(shell pkg-config --libs libnl-genl-3.0)
ATTLSD_LIBS = $(shell pkg-config --libs openssl libcap-ng libseccomp \
		libsystemd json-c ldap lber p11-kit-1) $(NL_LIBS)
ATTLS_LIBS = $(shell pkg-config --libs json-c openssl) $(NL_LIBS)

objs = $(patsubst %.c,$(O)/%.o,$(sort $(wildcard $(1)/*.c)))
KEYRING_OBJS := $(call objs,keyring)
POLICY_OBJS := $(call objs,policy) $(O)/policy/parse.o $(O)/policy/lex.o
ATTLSD_OBJS := $(call objs,helperd)
ATTLS_OBJS := $(call objs,tools)
LIB_OBJS := $(call objs,lib)
# A new interface under an old name is a new version; the number of the
# soname changes only if a program that was linked before would break.
LIB_VERSION := 0.3
LIB := libattls.so.$(LIB_VERSION)
SONAME := libattls.so.0

all: module programs
programs: $(O)/attlsd $(O)/attls $(O)/$(LIB) $(O)/libattls.pc
helperd: $(O)/attlsd
tools: $(O)/attls
lib: $(O)/$(LIB) $(O)/libattls.pc

module:
	$(call say,KBUILD,$(KDIR))
	$(Q)$(MAKE) -C $(KDIR) M=$(CURDIR)/kmod modules

$(O)/attlsd: $(ATTLSD_OBJS) $(O)/libkeyring.a $(O)/libpolicy.a
	$(call say,LD,$@)
	$(Q)$(CC) -pie $(LDFLAGS) -o $@ $^ $(ATTLSD_LIBS)

$(O)/attls: $(ATTLS_OBJS) $(O)/libkeyring.a $(O)/libpolicy.a
	$(call say,LD,$@)
	$(Q)$(CC) -pie $(LDFLAGS) -o $@ $^ $(ATTLS_LIBS)

$(LIB_OBJS): CPPFLAGS += -Ilib
$(LIB_OBJS): HARDEN += -fPIC
$(LIB_OBJS): PKG_CFLAGS :=

$(O)/$(LIB): $(LIB_OBJS) lib/libattls.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(LDFLAGS) -Wl,-soname,$(SONAME) -Wl,-z,defs \
		-Wl,--version-script=lib/libattls.map -o $@ $(LIB_OBJS)

$(O)/libattls.pc: lib/libattls.pc.in
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@VERSION@|$(LIB_VERSION)|' $< >$@

$(O)/libkeyring.a: $(KEYRING_OBJS)
$(O)/libpolicy.a: $(POLICY_OBJS)
$(O)/lib%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/%.o: %.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(CFLAGS) $(WARN) $(HARDEN) \
		-MMD -MP -c -o $@ $<

# Code that flex and bison wrote is not held to our warnings.
$(O)/policy/parse.o $(O)/policy/lex.o: $(O)/%.o: $(O)/%.c
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wall -Wno-unused-function $(HARDEN) \
		-MMD -MP -c -o $@ $<

$(O)/policy/parse.c: policy/parse.y
	$(call say,BISON,$@)
	$(Q)mkdir -p $(@D)
	$(Q)bison -Wall -Werror --defines=$(O)/policy/parse.h -o $@ $<

$(O)/policy/lex.c: policy/lex.l $(O)/policy/parse.c
	$(call say,FLEX,$@)
	$(Q)flex -o $@ $<

$(POLICY_OBJS): $(O)/policy/parse.c

-include $(wildcard $(O)/*/*.d)

demo:
	$(Q)selftests/demo/run

check:
	$(Q)selftests/run

check-debug:
	$(Q)selftests/run --kernel debug

check-stress:
	$(Q)selftests/run --full --kernel 6.12 --kernel 7.2 --kernel debug \
		storm pending inject

SECONDS ?= 60
fuzz:
	$(Q)selftests/fuzz/run $(SECONDS)

bench:
	$(Q)selftests/bench/run

install: programs lib-install
	install -D -m 0755 $(O)/attlsd $(DESTDIR)$(SBINDIR)/attlsd
	install -D -m 0755 $(O)/attls $(DESTDIR)$(SBINDIR)/attls
	install -D -m 0644 tools/attls.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/attls.8
	for file in policy/presets/*/*.conf; do \
		install -D -m 0644 $$file \
			$(DESTDIR)$(PREFIX)/share/attls/$${file#policy/} || exit; \
	done
	install -d -m 0755 $(DESTDIR)$(SYSCONFDIR)/attls/policy.d
	@# The administrator's policy is not ours to replace.
	[ -e $(DESTDIR)$(SYSCONFDIR)/attls/policy.conf ] || \
		install -D -m 0600 helperd/attlsd.conf \
		$(DESTDIR)$(SYSCONFDIR)/attls/policy.conf
	install -D -m 0644 helperd/attlsd.service \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/attlsd.service

lib-install: lib
	install -D -m 0644 $(O)/$(LIB) $(DESTDIR)$(LIBDIR)/$(LIB)
	ln -sf $(LIB) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libattls.so
	install -D -m 0644 $(O)/libattls.pc \
		$(DESTDIR)$(LIBDIR)/pkgconfig/libattls.pc
	install -D -m 0644 lib/attls/attls.h \
		$(DESTDIR)$(INCLUDEDIR)/attls/attls.h
	install -D -m 0644 uapi/linux/ttls.h \
		$(DESTDIR)$(INCLUDEDIR)/linux/ttls.h
	install -D -m 0644 uapi/linux/attls_sockopt.h \
		$(DESTDIR)$(INCLUDEDIR)/linux/attls_sockopt.h
	install -D -m 0644 lib/attls.py $(DESTDIR)$(PYTHONDIR)/attls.py
	install -D -m 0644 lib/libattls.3 \
		$(DESTDIR)$(PREFIX)/share/man/man3/libattls.3

module-install: module
	$(Q)$(MAKE) -C $(KDIR) M=$(CURDIR)/kmod modules_install

clean:
	rm -rf $(O)
	$(Q)[ ! -d $(KDIR) ] || $(MAKE) -C $(KDIR) M=$(CURDIR)/kmod clean

help:
	@sed -n 's/^# make/make/p' Makefile
	@echo 'make programs   attlsd and attls only'
	@echo 'make lib        libattls only, which needs no other library'
	@echo 'make install lib-install module-install clean'
	@echo 'KDIR= kernel build directory, O= output directory, V=1 loud'

.PHONY: all programs helperd tools lib module demo check check-debug \
	check-stress fuzz bench install lib-install module-install clean help
