// SPDX-License-Identifier: GPL-2.0-only
/* Where to find somebody: names of hosts, URLs. */
#include "tree.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HTTP		"http://"

/* NULL, or what is wrong with the label of @len bytes. */
static const char *dns_label_wrong(const char *label, size_t len)
{
	size_t i;

	if (!len)
		return "a label is empty";
	if (len > 63)
		return "a label is longer than 63 characters";
	if (label[0] == '-' || label[len - 1] == '-')
		return "a label begins or ends with '-'";
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)label[i]) && label[i] != '-' &&
		    label[i] != '_')
			return "it has a character that names do not have";
	return NULL;
}

const char *policy_dns_wrong(const char *name)
{
	const char *wrong = NULL;
	const char *last = name;
	size_t len;

	if (strlen(name) > 253)
		return "it is longer than 253 characters";
	while (!wrong) {
		len = strcspn(name, ".");
		wrong = dns_label_wrong(name, len);
		last = name;
		if (!name[len])
			break;
		name += len + 1;
	}
	if (!wrong && last[strspn(last, "0123456789")] == '\0')
		return "it is an address";
	return wrong;
}

bool policy_value_dns(struct builder *b, struct value *v,
		      const struct word *word)
{
	const char *wrong = policy_dns_wrong(word->text);

	if (!wrong)
		return true;
	policy_error(b, word, "give host names such as www.example.com",
		     "%s \"%s\": %s", v->param->name, word->text, wrong);
	return false;
}

/* An address of either family, of @len bytes. */
static bool is_address(const char *text, size_t len)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return inet_pton(AF_INET, copy, addr) == 1 ||
	       inet_pton(AF_INET6, copy, addr) == 1;
}

bool policy_value_host(struct builder *b, struct value *v,
		       const struct word *word)
{
	const char *wrong = policy_dns_wrong(word->text);

	if (!wrong || is_address(word->text, strlen(word->text)))
		return true;
	policy_error(b, word, "give a host name or an address",
		     "%s \"%s\": %s", v->param->name, word->text, wrong);
	return false;
}

/* The host of a URL, behind which @rest is; false: there is none. */
static bool skip_host(const char *host, const char **rest)
{
	char name[256];
	size_t len;

	if (*host == '[') {
		len = strcspn(host, "]");
		*rest = host + len + 1;
		return host[len] && is_address(host + 1, len - 1);
	}
	len = strcspn(host, ":/?");
	*rest = host + len;
	if (len >= sizeof(name))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	return is_address(name, len) || !policy_dns_wrong(name);
}

static bool skip_port(const char *text, const char **rest)
{
	size_t digits;
	long port;

	*rest = text;
	if (*text != ':')
		return true;
	digits = strspn(text + 1, "0123456789");
	port = digits && digits < 6 ? strtol(text + 1, NULL, 10) : 0;
	*rest = text + 1 + digits;
	return port > 0 && port < 65536;
}

static const char *url_wrong(const char *url)
{
	const char *rest = url;

	for (; *rest; rest++)
		if (!isgraph((unsigned char)*rest))
			return "it has a character that URLs do not have";
	if (rest - url > POLICY_URL_MAX)
		return "it is longer than 2083 characters";
	if (strncasecmp(url, HTTP, sizeof(HTTP) - 1))
		return "it does not begin with " HTTP;
	if (!skip_host(url + sizeof(HTTP) - 1, &rest))
		return "it has no host";
	if (!skip_port(rest, &rest))
		return "its port is not a number from 1 to 65535";
	if (*rest && *rest != '/' && *rest != '?')
		return "behind the host comes neither port nor path";
	return NULL;
}

bool policy_url_is_http(const char *url)
{
	return !url_wrong(url);
}

bool policy_value_url(struct builder *b, struct value *v,
		      const struct word *word)
{
	const char *wrong = url_wrong(word->text);

	if (!wrong)
		return true;
	policy_error(b, word, "give a URL such as http://ocsp.example.com:80/",
		     "%s \"%s\": %s", v->param->name, word->text, wrong);
	return false;
}

static const char *server_wrong(const char *text)
{
	const char *rest = text;

	if (is_address(text, strlen(text)))
		return NULL;
	if (!skip_host(text, &rest))
		return "it has no host";
	if (!skip_port(rest, &rest))
		return "its port is not a number from 1 to 65535";
	return *rest ? "behind the host comes no port" : NULL;
}

bool policy_value_server(struct builder *b, struct value *v,
			 const struct word *word)
{
	const char *wrong = server_wrong(word->text);

	if (!wrong)
		return true;
	policy_error(b, word, "give a host name or an address, and another "
		     "port behind ':'", "%s \"%s\": %s", v->param->name,
		     word->text, wrong);
	return false;
}
