/* SPDX-License-Identifier: Apache-2.0 */
/* What cppcheck must know of system headers, which it does not read. A definition with a semicolon can't be given by its option -D:
 * it then checks nothing, and says nothing. */
#define TAILQ_HEAD(name, type)                                                                                                   \
	struct name {                                                                                                            \
		struct type *tqh_first, **tqh_last;                                                                              \
	}
#define TAILQ_ENTRY(type)                                                                                                        \
	struct {                                                                                                                 \
		struct type *tqe_next, **tqe_prev;                                                                               \
	}
#define TAILQ_FIRST(h) ((h)->tqh_first)
#define TAILQ_NEXT(v, f) ((v)->f.tqe_next)
#define TAILQ_EMPTY(h) (!(h)->tqh_first)
#define TAILQ_FOREACH(v, h, f) for (v = (h)->tqh_first; v; v = v->f.tqe_next)
#define SLIST_HEAD(name, type)                                                                                                   \
	struct name {                                                                                                            \
		struct type *slh_first;                                                                                          \
	}
#define SLIST_ENTRY(type)                                                                                                        \
	struct {                                                                                                                 \
		struct type *sle_next;                                                                                           \
	}
#define SLIST_FOREACH(v, h, f) for (v = (h)->slh_first; v; v = v->f.sle_next)
#define STAILQ_HEAD(name, type)                                                                                                  \
	struct name {                                                                                                            \
		struct type *stqh_first, **stqh_last;                                                                            \
	}
#define STAILQ_ENTRY(type)                                                                                                       \
	struct {                                                                                                                 \
		struct type *stqe_next;                                                                                          \
	}
#define LIST_HEAD(name, type)                                                                                                    \
	struct name {                                                                                                            \
		struct type *lh_first;                                                                                           \
	}
#define LIST_HEAD_INITIALIZER(head) {0}
#define LIST_ENTRY(type)                                                                                                         \
	struct {                                                                                                                 \
		struct type *le_next, **le_prev;                                                                                 \
	}
#define LIST_FOREACH(v, h, f) for (v = (h)->lh_first; v; v = v->f.le_next)
#define json_array_foreach(a, i, v) for (i = 0; (v = json_array_get(a, i)); i++)
#define json_object_foreach(o, k, v) for (k = ""; (v = json_object_get(o, k));)
