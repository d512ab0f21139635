// SPDX-License-Identifier: GPL-2.0-only
#include "make_set.h"
#include "index.h"

#include <stdlib.h>
#include <string.h>

void set_tables_begin(struct set_tables *t)
{
	*t = (struct set_tables){
		.rules.size = sizeof(struct attls_rule),
		.addrs.size = sizeof(struct attls_addr_range),
		.ids.size = sizeof(struct attls_id_range),
		.refs.size = sizeof(__u32),
		.ports.size = sizeof(struct attls_port_range),
	};
}

static void make_index(struct set_tables *t, struct policy_index *index,
		       struct attls_set_header *h)
{
	const struct attls_set set = {
		.header = h,
		.rules = (const void *)t->rules.data,
		.addrs = (const void *)t->addrs.data,
		.ids = (const void *)t->ids.data,
		.ports = (const void *)t->ports.data,
	};

	policy_index_make(index, &set, &t->refs);
	h->n_keys = (__u32)index->keys.n;
	h->n_nodes = (__u32)index->nodes.n;
	h->n_refs = (__u32)t->refs.n;
	memcpy(h->roots, index->roots, sizeof(h->roots));
}

static char *append(char *to, const struct table *t)
{
	if (t->n)
		memcpy(to, t->data, t->n * t->size);
	return to + t->n * t->size;
}

static void *assemble(const struct set_tables *t,
		      const struct policy_index *index,
		      const struct attls_set_header *h)
{
	char *blob = calloc(1, h->total_len), *to;

	if (!blob)
		abort();
	memcpy(blob, h, sizeof(*h));
	to = append(blob + sizeof(*h), &index->keys);
	to = append(to, &t->rules);
	to = append(to, &t->addrs);
	to = append(to, &t->ids);
	to = append(to, &index->nodes);
	to = append(to, &t->refs);
	append(to, &t->ports);		/* and the empty string */
	return blob;
}

void *set_tables_end(struct set_tables *t, size_t *len)
{
	struct attls_set_header h = {
		.magic = ATTLS_SET_MAGIC,
		.version = ATTLS_SET_VERSION,
		.n_rules = (__u32)t->rules.n,
		.n_addrs = (__u32)t->addrs.n,
		.n_ids = (__u32)t->ids.n,
		.n_ports = (__u32)t->ports.n,
		.strings_len = 1,
	};
	struct policy_index index;
	void *blob;

	make_index(t, &index, &h);
	*len = attls_set_size(&h);
	h.total_len = (__u32)*len;
	blob = assemble(t, &index, &h);
	policy_index_free(&index);
	free(t->rules.data);
	free(t->addrs.data);
	free(t->ids.data);
	free(t->refs.data);
	free(t->ports.data);
	return blob;
}
