// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the workers of attlsd share: who finds which session, what makes room
 * for what, how long keys are good, and what is left when a process dies in
 * the middle.  KTAP.
 */
#include "../../helperd/store.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROOM		16384	/* bytes of a session */
#define WAYS		8	/* sessions with one id */
#define FORGOTTEN	1024
#define KEYS		64
#define ROUNDS		100

static int count, failures;

static void report(bool good, const char *name)
{
	printf("%sok %d %s\n", good ? "" : "not ", ++count, name);
	failures += !good;
}

static struct store_id id_of(unsigned int owner, unsigned int peer)
{
	struct store_id id = { .owner = { 0 } };

	memcpy(id.owner, &owner, sizeof(owner));
	memcpy(id.peer, &peer, sizeof(peer));
	return id;
}

static const uint8_t *token_of(unsigned int n)
{
	static uint8_t token[ATTLS_SESSION_LEN];

	memset(token, 1, sizeof(token));
	memcpy(token, &n, sizeof(n));
	return token;
}

static uint8_t byte_of(unsigned int token, size_t i)
{
	return token * 31 + i;
}

static unsigned int behind;	/* eras, of who puts a session */

static void put_many(unsigned int owner, unsigned int peer, unsigned int token,
		     size_t len, int64_t until, unsigned int most)
{
	struct store_session s = {
		.id = id_of(owner, peer),
		.era = attlsd_store_era() - behind,
		.until = until,
		.most = most,
		.session_len = len - len / 4,
		.chain_len = len / 4,
	};
	uint8_t data[ROOM + 1];

	for (size_t i = 0; i < len; i++)
		data[i] = byte_of(token, i);
	memcpy(s.token, token_of(token), sizeof(s.token));
	s.session = data;
	s.chain = data + s.session_len;
	attlsd_store_put(&s);
}

static void put(unsigned int owner, unsigned int peer, unsigned int token)
{
	put_many(owner, peer, token, 1000, time(NULL) + 1000, 0);
}

/* The number in the token of what is found, 0: nothing, or not what it was. */
static unsigned int get(unsigned int owner, unsigned int peer,
			const uint8_t *token, bool once)
{
	const struct store_id id = id_of(owner, peer);
	struct store_copy *copy = attlsd_store_get(&id, token, once);
	unsigned int n = 0;
	size_t len, i = 0;

	if (!copy)
		return 0;
	memcpy(&n, copy->token, sizeof(n));
	len = copy->session_len + copy->chain_len;
	while (i < len && copy->data[i] == byte_of(n, i))
		i++;
	attlsd_store_free(copy);
	return i == len ? n : 0;
}

static void test_find(void)
{
	put(1, 1, 11);
	put(1, 1, 12);
	report(get(1, 1, NULL, false) == 12 && get(1, 1, NULL, true) == 12 &&
	       get(1, 1, NULL, true) == 11 && !get(1, 1, NULL, true),
	       "the newest, and once");
	put(1, 1, 13);
	report(!get(1, 2, NULL, false) && !get(2, 1, NULL, false),
	       "of another peer or owner");
	report(get(1, 2, token_of(13), false) == 13 &&
	       !get(2, 1, token_of(13), false) &&
	       !get(1, 1, token_of(14), false), "by its token");
	put_many(1, 3, 14, 100, time(NULL) - 1, 0);
	report(!get(1, 3, NULL, false), "one that has ended");
}

static void test_room(void)
{
	put_many(3, 1, 31, ROOM, time(NULL) + 1000, 0);
	put_many(3, 2, 32, ROOM + 1, time(NULL) + 1000, 0);
	report(get(3, 1, NULL, false) == 31 && !get(3, 2, NULL, false),
	       "as large as there is room, and larger");
	for (unsigned int i = 1; i <= WAYS + 1; i++)
		put(4, 1, 40 + i);
	report(!get(4, 1, token_of(41), false) &&
	       get(4, 1, token_of(42), false) == 42 &&
	       get(4, 1, NULL, false) == 41 + WAYS, "the oldest makes room");
	for (unsigned int i = 1; i <= 4; i++)
		put_many(5, i, 50 + i, 10, time(NULL) + 1000, 3);
	report(!get(5, 1, NULL, false) && get(5, 2, NULL, false) == 52 &&
	       get(5, 4, NULL, false) == 54, "no more than an owner may have");
}

static bool find_key(const struct store_key *key, unsigned int refresh,
		     unsigned int valid, bool *old)
{
	struct store_key found;

	return attlsd_store_key_find(key->name, refresh, valid, &found, old) &&
	       !memcmp(&found, key, sizeof(found));
}

static void test_keys(void)
{
	struct store_key a, b, c;
	bool old;

	report(attlsd_store_key(300, 300, &a) &&
	       attlsd_store_key(300, 300, &b) &&
	       attlsd_store_key(200, 300, &c) && !memcmp(&a, &b, sizeof(a)) &&
	       memcmp(a.name, c.name, sizeof(a.name)) &&
	       memcmp(a.secret, c.secret, sizeof(a.secret)),
	       "a key for each refresh");
	report(find_key(&a, 300, 300, &old) && !old &&
	       !find_key(&a, 200, 300, &old), "a key by its name");
	attlsd_store_key(1, 1000, &a);
	sleep(2);
	report(find_key(&a, 1, 1000, &old) && old && !find_key(&a, 1, 0, &old),
	       "a key that is old");
	report(attlsd_store_key(1, 1000, &b) &&
	       memcmp(a.name, b.name, sizeof(a.name)), "a new key");
	attlsd_store_key(0, 0, &b);
	for (unsigned int i = 0; i < 2 * KEYS; i++)
		attlsd_store_key(1000 + i, 10, &c);
	report(find_key(&b, 0, 0, &old) && !old && find_key(&c, 1127, 10, &old),
	       "more keys than there can be");
}

static void test_forget(void)
{
	struct store_key key;
	bool old;

	put(6, 1, 61);
	put(6, 2, 61);
	put(6, 3, 62);
	attlsd_store_forget(token_of(61));
	put(6, 4, 61);
	report(!get(6, 1, NULL, false) && !get(6, 2, NULL, false) &&
	       !get(6, 4, NULL, false) && get(6, 3, NULL, false) == 62,
	       "a session is forgotten");
	report(attlsd_store_is_forgotten(token_of(61)) &&
	       !attlsd_store_is_forgotten(token_of(62)), "and stays so");
	attlsd_store_key(300, 300, &key);
	for (unsigned int i = 0; i < FORGOTTEN - 1; i++)
		attlsd_store_forget(token_of(1000 + i));
	report(find_key(&key, 300, 300, &old) &&
	       attlsd_store_is_forgotten(token_of(61)), "as many as that");
	attlsd_store_forget(token_of(999));
	report(!find_key(&key, 300, 300, &old) &&
	       attlsd_store_is_forgotten(token_of(999)) &&
	       get(6, 3, NULL, false) == 62, "one more, and no ticket is good");
}

static void test_clear(void)
{
	struct store_key key;
	bool old;

	put(7, 1, 71);
	attlsd_store_key(300, 300, &key);
	attlsd_store_clear();
	report(!get(7, 1, NULL, false) && !find_key(&key, 300, 300, &old) &&
	       !attlsd_store_is_forgotten(token_of(999)), "all is wiped");
	put(7, 1, 72);
	report(get(7, 1, NULL, false) == 72, "and goes on");
	behind = 1;
	put(7, 2, 73);
	behind = 0;
	report(!get(7, 2, NULL, false), "of a handshake that began before");
	attlsd_store_lost(0);
	report(get(7, 1, NULL, false) == 72, "no session was lost");
	attlsd_store_lost(3);
	report(!get(7, 1, NULL, false), "sessions were lost");
	put(7, 1, 74);
	attlsd_store_lost(3);
	attlsd_store_lost(2);
	report(get(7, 1, NULL, false) == 74, "and no other since");
}

/* A process that puts sessions until it is killed; it is at it. */
static pid_t start_putting(void)
{
	static atomic_uint *done;
	pid_t pid;

	if (!done)
		done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (done == MAP_FAILED)
		exit(1);
	atomic_store(done, 0);
	pid = fork();
	for (unsigned int i = 0; !pid; i++) {
		put_many(9, i % 500, 1 + i, ROOM, time(NULL) + 1000, 400);
		atomic_store(done, 1);
	}
	while (pid > 0 && !atomic_load(done))
		usleep(100);
	return pid;
}

static bool all_whole(void)
{
	for (unsigned int i = 0; i < 500; i++) {
		const struct store_id id = id_of(9, i);
		struct store_copy *copy = attlsd_store_get(&id, NULL, false);

		if (!copy)
			continue;
		attlsd_store_free(copy);
		if (!get(9, i, NULL, false))
			return false;
	}
	return true;
}

static void test_death(void)
{
	unsigned int wiped = 0;
	bool whole = true;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		pid_t pid;

		put(8, 1, 81);
		pid = start_putting();
		if (pid < 0)
			exit(1);
		usleep(37 * i);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		wiped += !get(8, 1, NULL, false);
		whole &= all_whole();
	}
	printf("# %u of %u died with the lock\n", wiped, ROUNDS);
	report(wiped, "who dies with the lock takes all along");
	report(whole, "what is there is whole");
	put(8, 1, 82);
	report(get(8, 1, NULL, false) == 82, "and goes on");
}

int main(void)
{
	if (attlsd_store_init())
		return 1;
	printf("KTAP version 1\n1..25\n");
	test_find();
	test_room();
	test_keys();
	test_forget();
	test_clear();
	test_death();
	return failures ? 1 : 0;
}
