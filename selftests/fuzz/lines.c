// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the fuzzer of the language makes a new text of one or two: by lines and
 * values as often as by bytes, which leave little that is a policy.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX	256

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
			       unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size,
				 const uint8_t *other, size_t other_size,
				 uint8_t *out, size_t max, unsigned int seed);

struct piece {
	size_t at;
	size_t len;
};

/* Any line, with its end; of an empty text, nothing. */
static struct piece any_line(const uint8_t *data, size_t size,
			     unsigned int *seed)
{
	struct piece line = { size ? (size_t)rand_r(seed) % size : 0, 0 };
	const uint8_t *end = memchr(data + line.at, '\n', size - line.at);

	while (line.at && data[line.at - 1] != '\n')
		line.at--;
	line.len = end ? (size_t)(end + 1 - data) - line.at : size - line.at;
	return line;
}

/* Puts @len bytes in the place of @old; the new size. */
static size_t replace(uint8_t *data, size_t size, size_t max, struct piece old,
		      const uint8_t *with, size_t len)
{
	if (size - old.len + len > max)
		return size;
	memmove(data + old.at + len, data + old.at + old.len,
		size - old.at - old.len);
	if (len)
		memcpy(data + old.at, with, len);
	return size - old.len + len;
}

static size_t copy_line(uint8_t *data, size_t size, size_t max,
			unsigned int *seed)
{
	struct piece from = any_line(data, size, seed);
	struct piece to = any_line(data, size, seed);
	uint8_t *copy = malloc(from.len + 1);

	if (!copy)
		abort();
	memcpy(copy, data + from.at, from.len);
	to.len = 0;
	size = replace(data, size, max, to, copy, from.len);
	free(copy);
	return size;
}

/* The last word of a line. */
static size_t change_value(uint8_t *data, size_t size, size_t max,
			   unsigned int *seed)
{
	struct piece line = any_line(data, size, seed), word;
	uint8_t value[VALUE_MAX];
	size_t len;

	word.at = line.at + line.len;
	while (word.at > line.at && data[word.at - 1] == '\n')
		word.at--;
	word.len = 0;
	while (word.at > line.at && !strchr(" \t", data[word.at - 1])) {
		word.at--;
		word.len++;
	}
	if (word.len > VALUE_MAX / 2)
		return size;
	memcpy(value, data + word.at, word.len);
	len = LLVMFuzzerMutate(value, word.len, sizeof(value));
	return replace(data, size, max, word, value, len);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
			       unsigned int seed)
{
	switch (seed % 8) {
	case 0:
		return replace(data, size, max, any_line(data, size, &seed),
			       NULL, 0);
	case 1:
	case 2:
		return copy_line(data, size, max, &seed);
	case 3:
	case 4:
	case 5:
		return change_value(data, size, max, &seed);
	default:
		return LLVMFuzzerMutate(data, size, max);
	}
}

/* The one text with some lines of the other. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size,
				 const uint8_t *other, size_t other_size,
				 uint8_t *out, size_t max, unsigned int seed)
{
	struct piece from = any_line(other, other_size, &seed);
	struct piece last = any_line(other, other_size, &seed), to;

	if (last.at > from.at)
		from.len = last.at + last.len - from.at;
	if (size > max)
		size = max;
	memcpy(out, data, size);
	to = any_line(out, size, &seed);
	to.len = 0;
	return replace(out, size, max, to, other + from.at, from.len);
}
