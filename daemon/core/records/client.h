/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: what the core knows of a session: what it waits for (tickets), what it may still ask, and where answers go.
 *
 * A ticket is an answer that is owed: it is opened when a request comes and closed by exactly one answer, or by the client's
 * going away. Calls and the daemon's own slow methods embed one. A notification has a ticket, too, though no answer is owed: it
 * is carried out to its end even when its sender goes:
 *
 *   connected --client_hang_up--> requests are dropped --client_leave--> nothing more comes --the last notification ends--> over
 */
#ifndef CORE_CLIENT_H
#define CORE_CLIENT_H

#include "daemon/core/base/core.h"
#include "daemon/core/base/error.h"
#include "proto/account.h"
#include "proto/rpc.h"

enum { CLIENT_METHOD_MEMO = 64, CLIENT_NAME = 64, CLIENT_KEPT = 16 /* descriptors that it may have */ };

struct call;
struct method;
struct pool;

struct ticket {
	TAILQ_ENTRY(ticket) link; /* in client->tickets */
	struct client *client;    /* NULL: closed, nobody waits */
	uint32_t msgid;
	bool notification; /* is owed no answer */
	bool fed;          /* its caller still sends for it (objpool.feed) */
	/* Let go of what was begun for it: the client has gone and the ticket is closed (`cause` is NULL), or it has
	 * cancelled, and `cause` is the answer to give. */
	void (*abandoned)(struct ticket *ticket, const struct error *cause);
};

TAILQ_HEAD(ticket_list, ticket);
TAILQ_HEAD(flow_list, flow);
TAILQ_HEAD(lease_list, lease);

/* The last method string that was looked up: pipelined calls say the same again and again. */
struct client_memo {
	uint64_t epoch; /* of the core, when it was looked up; 0: nothing */
	size_t size;
	char text[CLIENT_METHOD_MEMO];
	struct pool *pool;
	struct method *method;
};

struct client {
	struct core *core;
	uint64_t id; /* the session's number; never used twice */
	struct ticket_list tickets;       /* of requests */
	struct ticket_list notifications; /* that are still carried out */
	uint32_t notified;       /* how many notifications are still carried out */
	struct idmap inflight;   /* msgid -> ticket */
	uint64_t pending;        /* bytes of unanswered calls */
	struct account *account; /* all memory that is held for it */
	bool refused;            /* its calls are refused: it held too much memory for too long (supervisor/connections/memory.h) */
	struct flow_list flows;  /* where its calls wait */
	struct lease_list leases;
	struct sendq out;        /* answers */
	TAILQ_HEAD(, call) yielding; /* their methods wait for it to read on: see yield.h */
	struct client_memo memo;
	char name[CLIENT_NAME];  /* what it called itself in hello */
	bool error_maps;         /* wants errors as maps */
	void (*wrote)(
		struct client *client); /* told that there are answers; NULL: the owner of the core is, unless it is internal */
	bool internal;           /* of the daemon itself: nobody is told that there are answers */
	bool fds;                /* takes descriptors */
	uint16_t fds_mark;       /* what stands for one bears this: a value of a class that looks alike can't know it */
	struct sendq_kept kept;  /* those that it has */
	bool stalled;            /* doesn't read its answers: nothing more is started for it */
	bool left;               /* client_leave was called: it sends nothing more */
	bool hung_up;            /* can't be answered any more: only its notifications are accepted */
};

void client_init(struct client *client, struct core *core);

/* A client of the daemon's own: its number is 0, and its memory is charged to the daemon's account. */
void client_init_own(struct client *client, struct core *core);

/* May another request be taken in? Else the session is not read until client_wrote or less. */
bool client_accepts(const struct client *client);

/* Something has been written to client->out. */
void client_wrote(struct client *client);

/* Its sending side is shut down: what it would have fed can't come any more. */
void client_on_input_end(struct client *client);

/* Are too many of its answers unread? Fewer are allowed when it holds more than its share of the memory, most of it answers. */
bool client_has_unread(const struct client *client, uint64_t limit);

/* Closes the tickets of the list, and lets go of what was begun for them. */
void client_abandon(const struct ticket_list *tickets);

/* Opens the ticket for a request or notification. 0; -EEXIST when the msgid is in use; -ENOMEM. */
int ticket_open(struct ticket *ticket, struct client *client, const struct rpc *rpc,
		void (*abandoned)(struct ticket *, const struct error *));

/* Closes the ticket, whose answer has been written to client->out; client_wrote must follow. */
void ticket_detach(struct ticket *ticket);

/*
 * Answers. ticket_value writes the head of a successful response and returns where to append exactly one value, or NULL
 * when nobody is owed one; ticket_close ends it, with or without ticket_value. The others write everything.
 */
struct sendq *ticket_value(struct ticket *ticket);
void ticket_close(struct ticket *ticket);

/* Is the daemon's memory taken up, and does the client hold more than its share? client_refuse says so in *error, and counts
 * it. */
static inline bool client_is_greedy(const struct client *client)
{
	return account_is_greedy(client->account);
}
void client_refuse(struct client *client, enum ran ran, struct error *error);

/*
 * The client is to get `size` bytes that lie in a worker's block: charges the block to the client from now on, and returns it.
 * NULL: the bytes are a small part of the block. They must be copied, so that they don't keep all of it in memory.
 */
struct block *client_claim(struct client *client, struct block *block, size_t size);

/* A value of a task for the client: a large bin or ext that lies in a file alone goes by descriptor to one that takes them. */
void client_put_value(struct client *client, struct sendq *out, struct block *block, struct span value);
void ticket_answer_span(struct ticket *ticket, struct block *block, struct span value);
void ticket_answer_error(struct ticket *ticket, const struct error *error);

/* `abandoned` of a ticket whose work can't be undone: it goes on, and nobody waits for it. */
void ticket_on_abandoned(struct ticket *ticket, const struct error *cause);

/* Answers a whole value that was packed before for this client; takes the bytes. If packing has failed (sendq.h), the client's
 * session is closed. */
void ticket_answer_packed(struct ticket *ticket, struct sendq *packed);

/* Answers an error that was packed before for this client; takes the bytes. */
void ticket_answer_packed_error(struct ticket *ticket, struct sendq *packed);

/* Answers a request that never got a ticket. */
void client_answer_error(struct client *client, uint32_t msgid, const struct error *error);

#endif
