// SPDX-License-Identifier: GPL-2.0-only
/* Values of parameters, by kind.  Those of conditions are in condition.c. */
#include "tree.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool read_choice(struct builder *b, struct value *v,
			const struct word *word)
{
	const struct choice *c = v->param->choices;
	char list[128] = "";
	size_t n = 0;

	for (; c->name; c++) {
		if (strcasecmp(c->name, word->text)) {
			n += (size_t)snprintf(list + n, sizeof(list) - n,
					      "%s%s", n ? ", " : "", c->name);
			continue;
		}
		v->number = c->value;
		if (!c->refused)
			return true;
		policy_error(b, word, c->instead, "%s %s: %s", v->param->name,
			     c->name, c->refused);
		return false;
	}
	policy_error(b, word,
		     policy_suggest_choice(v->param->choices, word->text),
		     "%s \"%s\" is none of %s", v->param->name, word->text,
		     list);
	return false;
}

static bool read_number(struct builder *b, struct value *v,
			const struct word *word)
{
	const struct param *p = v->param;
	size_t len = strlen(word->text);
	char hint[80];

	/* Ten digits are more than any maximum and less than a long. */
	if (len && len == strspn(word->text, "0123456789")) {
		v->number = len > 10 ? LONG_MAX : strtol(word->text, NULL, 10);
		if (v->number >= p->min && v->number <= p->max)
			return true;
	}
	snprintf(hint, sizeof(hint), "give a number from %ld to %ld", p->min,
		 p->max);
	policy_error(b, word, hint, "%s \"%s\" is not in the range %ld to %ld",
		     p->name, word->text, p->min, p->max);
	return false;
}

#define RINGS		"/etc/attls/rings/"
#define SYSTEM_CAS	"/etc/ssl/certs"
#define NAME_CHARS	"abcdefghijklmnopqrstuvwxyz" \
			"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@#$-"

static bool is_token(const char *name)
{
	return !strncasecmp(name, POLICY_TOKEN, strlen(POLICY_TOKEN));
}

/* Where a key ring is that z/OS would know by its name. */
const char *policy_keyring_path(struct policy *policy, const char *name)
{
	size_t len = strlen(name) + sizeof(RINGS);
	char *path;

	if (*name == '/')
		return name;
	if (is_token(name))
		return name;
	if (!strcasecmp(name, "*AUTH*/*"))
		return SYSTEM_CAS;
	path = policy_arena_alloc(&policy->arena, len);
	snprintf(path, len, "%s%s", RINGS, name);
	return path;
}

/* RING or USER/RING. */
static bool is_ring_name(const char *name)
{
	size_t n = strspn(name, NAME_CHARS);

	if (!n || *name == '.')
		return false;
	if (name[n] == '/') {
		name += n + 1;
		n = strspn(name, NAME_CHARS);
	}
	return n && *name != '.' && !name[n];
}

/* As PKCS#11 has it: filled up with blanks, and without a zero. */
static bool read_token(struct builder *b, struct value *v,
		       const struct word *word)
{
	const char *label = word->text + strlen(POLICY_TOKEN);
	size_t len = strlen(label);

	if (len && len <= POLICY_TOKEN_MAX && label[len - 1] != ' ')
		return true;
	policy_error(b, word, "give its label: p11-kit list-modules shows it",
		     "%s \"%s\": the name of a token has 1 to %d bytes and no "
		     "blank at its end", v->param->name, word->text,
		     POLICY_TOKEN_MAX);
	return false;
}

static bool read_keyring(struct builder *b, struct value *v,
			 const struct word *word)
{
	if (strlen(word->text) < PATH_MAX - sizeof(RINGS) &&
	    (*word->text == '/' || is_ring_name(word->text) ||
	     !strcasecmp(word->text, "*AUTH*/*")))
		return true;
	if (is_token(word->text))
		return read_token(b, v, word);
	if (!strncasecmp(word->text, "pkcs11:", 7)) {
		policy_error(b, word,
			     "write " POLICY_TOKEN "LABEL, and the certificate "
			     "with CertificateLabel",
			     "%s \"%s\": a token of PKCS#11 is named by its "
			     "label", v->param->name, word->text);
		return false;
	}
	policy_error(b, word,
		     "give the absolute path of a directory of PEM files or "
		     "of a PKCS#12 file, or the name of one in " RINGS,
		     "%s \"%s\" is no key ring", v->param->name, word->text);
	return false;
}

/*
 * Stars are what check --print shows of it.  Nothing of it goes into messages.
 */
static bool read_password(struct builder *b, struct value *v,
			  const struct word *word)
{
	const char *wrong = NULL;
	const char *hint = "write the password, or use KeyringStashFile";

	if (b->source->exposed) {
		wrong = "everybody can read this file";
		hint = "chmod 600, or use KeyringStashFile";
	} else if (!*word->text) {
		wrong = "it is empty";
	} else if (!strcmp(word->text, POLICY_MASK)) {
		wrong = "these stars stand for one that was not to be shown";
	}
	if (wrong)
		policy_error(b, word, hint, "%s: %s", v->param->name, wrong);
	return !wrong;
}

static bool read_stash(struct builder *b, struct value *v,
		       const struct word *word)
{
	if (*word->text == '/' && strlen(word->text) < PATH_MAX)
		return true;
	policy_error(b, word, "give the absolute path of a file",
		     "%s \"%s\" is no stash file", v->param->name,
		     word->text);
	return false;
}

static bool read_label(struct builder *b, struct value *v,
		       const struct word *word)
{
	if (word->text[0] && word->text[0] != '.' &&
	    !strchr(word->text, '/') && strlen(word->text) <= NAME_MAX - 4)
		return true;
	policy_error(b, word,
		     "give the name of a PEM file of the key ring, "
		     "without directory and extension",
		     "%s \"%s\" is not a file name", v->param->name,
		     word->text);
	return false;
}

static bool read_sni(struct builder *b, struct value *v,
		     const struct word *word)
{
	if (!word->next) {
		policy_error(b, word, "write a name and the label of the "
			     "certificate that is shown for it",
			     "%s \"%s\" has no label", v->param->name,
			     word->text);
		return false;
	}
	v->label = word->next->text;
	return policy_value_dns(b, v, word) && read_label(b, v, word->next);
}

/* As the kernel knows it: a comm of at most 15 bytes. */
static bool read_job(struct builder *b, struct value *v,
		     const struct word *word)
{
	const char *star = strchr(word->text, '*');
	size_t len = star ? (size_t)(star - word->text) : strlen(word->text);
	char hint[80];

	v->any = star == word->text && !star[1];
	if (star && star[1]) {
		policy_error(b, word, "move the '*' to the end",
			     "%s \"%s\" has a '*' before its end",
			     v->param->name, word->text);
		return false;
	}
	if (len >= ATTLS_COMM_LEN) {
		snprintf(hint, sizeof(hint),
			 "Linux keeps 15 bytes of it: write \"%.15s\"",
			 word->text);
		policy_error(b, word, hint, "%s \"%s\" is longer than 15 bytes",
			     v->param->name, word->text);
		return false;
	}
	if (len || star)
		return true;
	policy_error(b, word, NULL, "%s is empty", v->param->name);
	return false;
}

static bool read_word(struct builder *b, struct value *v,
		      const struct word *word)
{
	return true;
}

/* Resolved when all names are known, see resolve.c. */
static bool read_ref(struct builder *b, struct value *v,
		     const struct word *word)
{
	policy_level_apply(b, v);
	return true;
}

static bool (*const readers[N_KINDS])(struct builder *b, struct value *v,
				      const struct word *word) = {
	[KIND_CHOICE]	= read_choice,
	[KIND_NUMBER]	= read_number,
	[KIND_KEYRING]	= read_keyring,
	[KIND_PASSWORD]	= read_password,
	[KIND_STASH]	= read_stash,
	[KIND_LABEL]	= read_label,
	[KIND_DNS]	= policy_value_dns,
	[KIND_SNI]	= read_sni,
	[KIND_HOST]	= policy_value_host,
	[KIND_URL]	= policy_value_url,
	[KIND_JOB]	= read_job,
	[KIND_USER]	= policy_value_user,
	[KIND_IDS]	= policy_value_ids,
	[KIND_EXE]	= policy_value_exe,
	[KIND_CGROUP]	= policy_value_cgroup,
	[KIND_NETNS]	= policy_value_netns,
	[KIND_SPAN]	= policy_value_span,
	[KIND_MASK]	= policy_value_mask,
	[KIND_CLOCK]	= policy_value_clock,
	[KIND_DN]	= policy_value_dn,
	[KIND_FINGERPRINT] = policy_value_fingerprint,
	[KIND_ALT_NAME]	= policy_value_alt_name,
	[KIND_CERT_USER] = policy_value_cert_user,
	[KIND_WORD]	= read_word,
	[KIND_CODES]	= policy_value_codes,
	[KIND_ADDR]	= policy_value_addr,
	[KIND_PORTS]	= policy_value_ports,
	[KIND_REF]	= read_ref,
};

bool policy_value_read(struct builder *b, struct value *v,
		       const struct word *word)
{
	return readers[v->param->kind](b, v, word);
}
