// SPDX-License-Identifier: GPL-2.0-only
/* The signer as those see it who start it: attlsd, and attls check. */
#include "internal.h"
#include "signer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *attls_program = "/usr/sbin/attlsd";

static const char *const texts[] = {
	[SIGNER_GOOD]		= "nothing is wrong",
	[SIGNER_GONE]		= "the signer of attlsd does not run",
	[SIGNER_SILENT]		= "the token does not answer",
	[SIGNER_NO_MODULES]	= "no module of PKCS#11 can be used",
	[SIGNER_NO_TOKEN]	= "no such token",
	[SIGNER_TWO_TOKENS]	= "two tokens have this name",
	[SIGNER_NEEDS_PIN]	= "the token wants a PIN",
	[SIGNER_WRONG_PIN]	= "the PIN is wrong",
	[SIGNER_LAST_TRY]	= "not tried: one more wrong PIN would lock the token",
	[SIGNER_LOCKED]		= "the PIN of the token is locked",
	[SIGNER_NO_LOGIN]	= "the token refuses the login",
	[SIGNER_NO_KEY]		= "the private key is not on the token",
	[SIGNER_NO_SIGNATURE]	= "the token does not sign",
	[SIGNER_NO_LIST]	= "the certificates of the token cannot be read",
};

void keyring_signer_program(const char *path)
{
	attls_program = path;
}

const char *keyring_signer_text(enum signer_wrong wrong)
{
	return wrong < sizeof(texts) / sizeof(*texts) ? texts[wrong] :
	       "the signer says what nobody understands";
}

/* Without the environment: modules obey it. */
static void run(int control)
{
	char *const argv[] = { "attlsd", SIGNER_OPTION, NULL };
	char *const env[] = { NULL };

	if (dup2(control, STDIN_FILENO) == STDIN_FILENO &&
	    dup2(STDERR_FILENO, STDOUT_FILENO) == STDOUT_FILENO &&
	    !close_range(STDERR_FILENO + 1, ~0U, 0))
		execve(attls_program, argv, env);
	_exit(127);
}

static int limit(int fd, int seconds)
{
	const struct timeval time = { .tv_sec = seconds };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)))
		return -errno;
	return 0;
}

int keyring_signer_start(struct keyring_signer *signer)
{
	int sockets[2];
	pid_t pid;
	int ret;

	memset(signer, 0, sizeof(*signer));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return -errno;
	ret = limit(sockets[0], 4 * SIGNER_TIME);
	pid = ret ? -1 : fork();
	if (!pid)
		run(sockets[1]);
	if (pid < 0 && !ret)
		ret = -errno;
	close(sockets[1]);
	if (ret) {
		close(sockets[0]);
		return ret;
	}
	signer->pid = pid;
	signer->control = sockets[0];
	return 0;
}

/* @fd goes with it, unless it is -1. */
static int order(struct keyring_signer *signer, struct signer_order *o, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec data = { o, SIGNER_ORDER_HEAD + o->len };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
	};

	o->version = SIGNER_VERSION;
	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.room);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	}
	if (!signer->pid)
		return -EPIPE;
	return sendmsg(signer->control, &message, MSG_NOSIGNAL) < 0 ?
	       -errno : 0;
}

int keyring_signer_token(struct keyring_signer *signer,
			 const struct keyring *ring)
{
	struct signer_order o = { .verb = SIGNER_ADD_TOKEN };
	int ret = -E2BIG;

	strncpy(o.label, ring->token, SIGNER_LABEL);
	o.given = ring->pin->given;
	o.len = (uint32_t)strlen(ring->pin->text);
	memcpy(o.data, ring->pin->text, o.len);
	if (signer->tokens < SIGNER_TOKENS)
		ret = order(signer, &o, -1);
	if (!ret)
		signer->tokens++;
	OPENSSL_cleanse(&o, sizeof(o));
	return ret;
}

/* For the token that came last. */
int keyring_signer_key(struct keyring_signer *signer, EVP_PKEY *key)
{
	struct signer_order o = {
		.verb = SIGNER_ADD_KEY,
		.token = signer->tokens - 1,
	};
	int ret;

	if (signer->keys == SIGNER_KEYS)
		return -E2BIG;
	o.len = (uint32_t)keyring_remote_id(key, o.data);
	if (!o.len || !keyring_remote_number(key, signer->keys))
		return -EINVAL;
	ret = order(signer, &o, -1);
	if (!ret)
		signer->keys++;
	return ret;
}

int keyring_signer_add(struct keyring_signer *signer,
		       const struct keyring *ring)
{
	int ret = ring->token ? keyring_signer_token(signer, ring) : 0;

	for (size_t i = 0; !ret && ring->token && i < ring->n_pairs; i++)
		ret = keyring_signer_key(signer, ring->pairs[i].key);
	return ret;
}

int keyring_signer_number(const struct keyring *ring, size_t *n)
{
	for (size_t i = 0; ring->token && i < ring->n_pairs; i++)
		if (!keyring_remote_number(ring->pairs[i].key, (*n)++))
			return -ENOMEM;
	return 0;
}

int keyring_signer_client(struct keyring_signer *signer)
{
	struct signer_order o = { .verb = SIGNER_ADD_CLIENT };
	int sockets[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return -errno;
	/* The signer gives up first, and says so. */
	ret = limit(sockets[0], 2 * SIGNER_TIME);
	if (!ret)
		ret = order(signer, &o, sockets[1]);
	close(sockets[1]);
	if (!ret)
		return sockets[0];
	close(sockets[0]);
	return ret;
}

int keyring_signer_list(struct keyring_signer *signer)
{
	struct signer_order o = {
		.verb = SIGNER_LIST,
		.token = signer->tokens - 1,
	};

	return order(signer, &o, -1);
}

bool keyring_signer_object(struct keyring_signer *signer,
			   struct signer_object *object)
{
	ssize_t n = recv(signer->control, object, sizeof(*object), 0);

	if (n >= (ssize_t)SIGNER_OBJECT_HEAD &&
	    object->version == SIGNER_VERSION &&
	    object->id_len <= sizeof(object->id) &&
	    n == (ssize_t)(SIGNER_OBJECT_HEAD + object->cert_len)) {
		object->label[SIGNER_NAME] = '\0';
		return true;
	}
	object->last = true;
	object->wrong = n < 0 && errno == EAGAIN ? SIGNER_SILENT : SIGNER_GONE;
	return false;
}

void keyring_signer_leave(struct keyring_signer *signer)
{
	if (!signer->pid || signer->control < 0)
		return;
	close(signer->control);
	signer->control = -1;
}

/* It may hang in a module, so it is not asked. */
void keyring_signer_end(struct keyring_signer *signer)
{
	if (!signer->pid)
		return;
	keyring_signer_leave(signer);
	kill(signer->pid, SIGKILL);
	while (waitpid(signer->pid, NULL, 0) < 0 && errno == EINTR)
		;
	signer->pid = 0;
}
