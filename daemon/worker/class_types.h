/* SPDX-License-Identifier: Apache-2.0 */
/*
 * class_types: the types that a class declares: its signatures, taken apart, and its records.
 *
 * A class that was built with a header that knows types (plugin.h, OBJPOOL_ABI_MINOR 2) must declare them correctly, and so that
 * they agree with the counts of arguments in its table. What older classes say, and what a class tells only when it is loaded
 * (list_methods, objpool_describe), may be anything: a signature that is wrong counts as none, and the log has a warning.
 */
#ifndef WORKER_CLASS_TYPES_H
#define WORKER_CLASS_TYPES_H

#include "daemon/worker/plugin_load.h"
#include "daemon/worker/types/signature.h"

enum { CLASS_TYPES_REASON = 512, CLASS_RECORDS_MAX = 256 };

struct class_types {
	const struct plugin *plugin;
	msgpack_zone zone;
	const char *const *records; /* as the class declares them; ends with NULL. NULL: there are none */
	msgpack_object_str known[CLASS_RECORDS_MAX];
	struct type_names names;         /* of the records */
	uint32_t wrong;                  /* signatures that count as none, because they are wrong */
	char reason[CLASS_TYPES_REASON]; /* the latest; of `wrong` ones the first */
};

/* `told`: the records that the class has told with objpool_describe, which count as none if they are wrong. NULL: those of its
 * structure are taken. -1: these are wrong, and types->reason says why. class_types_end is due in any case. */
int class_types_begin(struct class_types *types, const struct plugin *plugin, const char *const *told);
void class_types_end(struct class_types *types);

/* The signature of a method of the class's table, or of the constructor as the class's structure has it. -1: it is wrong, and
 * types->reason says where. */
int class_types_of_method(struct class_types *types, const struct objpool_method *method, struct signature *signature);
int class_types_of_constructor(struct class_types *types, struct signature *signature);

/* A signature that the class tells when it is loaded. `whose`: for the warning. */
void class_types_of_text(struct class_types *types, const char *whose, const char *text, size_t size,
			 struct signature *signature);

/* Packs {Name: [{name, type, …}]} of the records. */
void class_types_pack_records(struct class_types *types, msgpack_packer *packer);

/* Checks all that the class's structure declares. -1 with the reason: the class is refused. */
int class_types_check(const struct plugin *plugin, char *reason, size_t size);

/* The same for a check: all that is wrong is a fault. */
void class_types_faults(const struct plugin *plugin, struct plugin_faults *faults);

/* Prints one warning if signatures were wrong. */
void class_types_warn(const struct class_types *types);

#endif
