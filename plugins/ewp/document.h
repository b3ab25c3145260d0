/* document - an XML document from outside, in memory, with its lines; and the official schemas.
 *
 * Nothing is fetched: no network, no external entity, no document type (so no entities at all). What is said about a document
 * never quotes its text or values, which may be a person's: only names of elements, and the library's error code. */
#ifndef ENLIGHT_EWP_DOCUMENT_H
#define ENLIGHT_EWP_DOCUMENT_H

#include "base/bytes.h"
#include "ewp/remarks.h"
#include <libxml/tree.h>

enum { DOCUMENT_MAX = 32 * 1024 * 1024 }; /* bytes of one document */

/* Outcomes beside 0 and -ENOMEM. */
enum {
	DOCUMENT_REFUSED = 1, /* `refused` says why, by line */
	DOCUMENT_NO_SCHEMA,   /* the folder of schemas has no usable one for this document */
};

/* Parses the text, at most DOCUMENT_MAX bytes. `*out` is released with xmlFreeDoc(). 0, DOCUMENT_REFUSED or -ENOMEM. */
int document_parse(xmlDoc **out, struct bytes text, struct remarks *refused);

/* Checks the document against `schema`, a path in `folder`, where catalog.xml says which local file stands for which address.
 * Any outcome. */
int document_check(xmlDoc *doc, const char *folder, const char *schema, struct remarks *refused);

/* Where an element begins: the line on which its start tag ends. Also of an attribute or a text: its element's. */
unsigned long document_line(const xmlNode *node);

/* Whether it is the element of this namespace and name. */
bool document_is(const xmlNode *node, const char *ns, const char *name);

/* A name for a message, at most 64 bytes of it: `%.*s` with both. */
#define DOCUMENT_NAME(name) document_name_len((const char *)(name)), (const char *)(name)
int document_name_len(const char *name);

/* Frees what libxml2 keeps for itself; for the end of a program. */
void document_end(void);

#endif
