// SPDX-License-Identifier: GPL-2.0-only
#include "set.h"

#include <stdlib.h>
#include <string.h>

void policy_set_begin(struct set_tables *t)
{
	*t = (struct set_tables){
		.times.size = sizeof(struct attls_time_range),
		.rules.size = sizeof(struct attls_rule),
		.addrs.size = sizeof(struct attls_addr_range),
		.ids.size = sizeof(struct attls_id_range),
		.refs.size = sizeof(__u32),
		.ports.size = sizeof(struct attls_port_range),
		.strings.size = 1,
	};
	policy_table_add(&t->strings, 1);
}

void policy_set_index(struct set_tables *t)
{
	const struct attls_set_header header = {
		.n_rules = (__u32)t->rules.n,
	};
	const struct attls_set set = {
		.header = &header,
		.rules = (const void *)t->rules.data,
		.addrs = (const void *)t->addrs.data,
		.ids = (const void *)t->ids.data,
		.ports = (const void *)t->ports.data,
	};

	policy_index_make(&t->index, &set, &t->refs);
}

static struct attls_set_header header_of(const struct set_tables *t)
{
	struct attls_set_header h = {
		.magic = ATTLS_SET_MAGIC,
		.version = ATTLS_SET_VERSION,
		.n_rules = (__u32)t->rules.n,
		.n_addrs = (__u32)t->addrs.n,
		.n_ids = (__u32)t->ids.n,
		.n_ports = (__u32)t->ports.n,
		.strings_len = (__u32)t->strings.n,
		.n_keys = (__u32)t->index.keys.n,
		.n_nodes = (__u32)t->index.nodes.n,
		.n_refs = (__u32)t->refs.n,
		.n_times = (__u32)t->times.n,
	};

	memcpy(h.roots, t->index.roots, sizeof(h.roots));
	h.total_len = (__u32)attls_set_size(&h);
	return h;
}

size_t policy_set_size(const struct set_tables *t)
{
	const struct attls_set_header h = header_of(t);

	return attls_set_size(&h);
}

static char *append(char *to, const struct table *t)
{
	if (t->n)
		memcpy(to, t->data, t->n * t->size);
	return to + t->n * t->size;
}

struct attls_set_header *policy_set_assemble(const struct set_tables *t)
{
	struct attls_set_header *h = malloc(policy_set_size(t));
	char *to;

	if (!h)
		return NULL;
	*h = header_of(t);
	to = append((char *)(h + 1), &t->index.keys);
	to = append(to, &t->times);
	to = append(to, &t->rules);
	to = append(to, &t->addrs);
	to = append(to, &t->ids);
	to = append(to, &t->index.nodes);
	to = append(to, &t->refs);
	to = append(to, &t->ports);
	append(to, &t->strings);
	return h;
}

void policy_set_free(struct set_tables *t)
{
	free(t->times.data);
	free(t->rules.data);
	free(t->addrs.data);
	free(t->ids.data);
	free(t->refs.data);
	free(t->ports.data);
	free(t->strings.data);
	policy_index_free(&t->index);
}
