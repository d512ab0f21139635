// SPDX-License-Identifier: GPL-2.0-only
/*
 * An echo server on io_uring as servers of today are written: one multishot
 * accept, one multishot receive for each connection into buffers that the
 * kernel chooses, one send at a time.
 *
 *	uring_echo PORT
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ENTRIES		512
#define BUFFERS		256		/* a power of two */
#define BUFFER_SIZE	4096
#define CONNS		1024		/* file descriptors below this */

enum op { OP_ACCEPT, OP_RECV, OP_SEND };

struct piece {
	unsigned short	bid;
	unsigned int	len;
};

struct conn {
	struct piece	queue[BUFFERS];	/* received, not sent yet */
	unsigned int	head, count;
	bool		starved;	/* no buffer was free to receive into */
	bool		ended;		/* nothing more will be received */
	bool		broken;		/* nothing more can be sent */
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char memory[BUFFERS][BUFFER_SIZE];
static unsigned int buffers_free;
static struct conn conns[CONNS];

static struct io_uring_sqe *next_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe) {
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	if (!sqe)
		errx(1, "no room in the submission queue");
	return sqe;
}

/* What its completions will say; after the preparation, which clears it. */
static void mark(struct io_uring_sqe *sqe, enum op op, int fd)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)op << 32 | (unsigned int)fd);
}

static void arm_accept(int listener)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, 0);
	mark(sqe, OP_ACCEPT, listener);
}

static void arm_recv(int fd)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	mark(sqe, OP_RECV, fd);
	conns[fd].starved = false;
}

static void give_buffer(unsigned short bid)
{
	io_uring_buf_ring_add(buffers, memory[bid], BUFFER_SIZE, bid,
			      io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(buffers, 1);
	buffers_free++;
}

static void feed_starved(void)
{
	int fd;

	for (fd = 0; fd < CONNS; fd++)
		if (conns[fd].starved)
			arm_recv(fd);
}

/* The first piece of the queue; the rest follows when it has gone. */
static void arm_send(int fd)
{
	struct conn *c = &conns[fd];
	struct piece *p = &c->queue[c->head];
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_send(sqe, fd, memory[p->bid], p->len,
			   MSG_WAITALL | MSG_NOSIGNAL);
	mark(sqe, OP_SEND, fd);
}

static void close_when_done(int fd)
{
	struct conn *c = &conns[fd];

	if (c->ended && !c->count)
		close(fd);
}

static void on_accept(struct io_uring_cqe *cqe, int listener)
{
	if (!(cqe->flags & IORING_CQE_F_MORE))
		arm_accept(listener);
	if (cqe->res < 0) {
		warnx("accept: error %d", -cqe->res);
		return;
	}
	if (cqe->res >= CONNS)
		errx(1, "too many connections");
	conns[cqe->res] = (struct conn) {};
	arm_recv(cqe->res);
}

static void on_data(struct io_uring_cqe *cqe, int fd)
{
	struct conn *c = &conns[fd];
	unsigned short bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

	buffers_free--;
	if (c->broken) {
		give_buffer(bid);
		return;
	}
	c->queue[(c->head + c->count++) % BUFFERS] =
		(struct piece) { bid, cqe->res };
	if (c->count == 1)
		arm_send(fd);
}

static void on_recv(struct io_uring_cqe *cqe, int fd)
{
	struct conn *c = &conns[fd];

	if (cqe->res > 0)
		on_data(cqe, fd);
	else if (cqe->res != -ENOBUFS)
		c->ended = true;
	if (cqe->res < 0 && cqe->res != -ENOBUFS)
		warnx("receive: error %d", -cqe->res);
	if (c->ended)
		close_when_done(fd);
	else if (cqe->flags & IORING_CQE_F_MORE)
		return;
	else if (buffers_free)
		arm_recv(fd);
	else
		c->starved = true;
}

static void on_send(struct io_uring_cqe *cqe, int fd)
{
	struct conn *c = &conns[fd];
	struct piece *p = &c->queue[c->head];

	if (cqe->res != (int)p->len) {
		warnx("send: %d instead of %u", cqe->res, p->len);
		c->broken = true;
		shutdown(fd, SHUT_RDWR);
	}
	do {
		give_buffer(c->queue[c->head].bid);
		c->head = (c->head + 1) % BUFFERS;
		c->count--;
	} while (c->broken && c->count);
	if (c->count)
		arm_send(fd);
	close_when_done(fd);
	feed_starved();
}

static void serve(void)
{
	struct io_uring_cqe *cqe;
	int err, fd;

	for (;;) {
		err = io_uring_submit_and_wait(&ring, 1);
		if (err < 0 && err != -EINTR)
			errx(1, "io_uring_enter: error %d", -err);
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			fd = (int)(uint32_t)cqe->user_data;
			switch ((enum op)(cqe->user_data >> 32)) {
			case OP_ACCEPT:
				on_accept(cqe, fd);
				break;
			case OP_RECV:
				on_recv(cqe, fd);
				break;
			case OP_SEND:
				on_send(cqe, fd);
				break;
			}
			io_uring_cqe_seen(&ring, cqe);
		}
	}
}

static void setup(void)
{
	int err = io_uring_queue_init(ENTRIES, &ring, 0);
	int i;

	if (err)
		errx(1, "io_uring_setup: error %d", -err);
	buffers = io_uring_setup_buf_ring(&ring, BUFFERS, 0, 0, &err);
	if (!buffers)
		errx(1, "buffer ring: error %d", -err);
	for (i = 0; i < BUFFERS; i++)
		give_buffer(i);
}

static int listen_on(int port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&to, sizeof(to)) || listen(fd, 512))
		err(1, "port %d", port);
	return fd;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(1, "usage: uring_echo PORT");
	setup();
	arm_accept(listen_on(atoi(argv[1])));
	serve();
}
