#include "ewp/document.h"

#include <errno.h>
#include <libxml/SAX2.h>
#include <libxml/catalog.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/xmlerror.h>
#include <libxml/xmlschemas.h>
#include <libxml/xmlschemastypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Lines. libxml2 keeps them in 16 bits; ours stand in each element's private pointer. */

unsigned long document_line(const xmlNode *node)
{
	while (node != NULL && node->type != XML_ELEMENT_NODE)
		node = node->parent;
	return node == NULL ? 1 : (unsigned long)(uintptr_t)node->_private;
}

bool document_is(const xmlNode *node, const char *ns, const char *name)
{
	return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0 && node->ns != NULL &&
	       node->ns->href != NULL && strcmp((const char *)node->ns->href, ns) == 0;
}

int document_name_len(const char *name)
{
	size_t len = strnlen(name, 65);

	if (len == 65)
		for (len = 64; len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80;)
			len--; /* not into a character */
	return (int)len;
}

/* ---- Parsing ---- */

/* What a parser's callbacks see: the parser's _private. */
struct parsing {
	struct remarks *refused;
	bool has_type;
};

static const struct {
	int code;
	const char *text;
} parser_words[] = {
	{XML_ERR_DOCUMENT_EMPTY, "it is empty, or does not begin with an element"},
	{XML_ERR_DOCUMENT_END, "there is something behind its end"},
	{XML_ERR_TAG_NAME_MISMATCH, "an end tag does not fit its start tag"},
	{XML_ERR_TAG_NOT_FINISHED, "an element has no end"},
	{XML_ERR_GT_REQUIRED, "a tag has no end"},
	{XML_ERR_LT_REQUIRED, "a tag has no beginning"},
	{XML_ERR_ATTRIBUTE_REDEFINED, "an attribute comes twice"},
	{XML_ERR_ATTRIBUTE_WITHOUT_VALUE, "an attribute has no value"},
	{XML_ERR_UNDECLARED_ENTITY, "an entity that nobody declared"},
	{XML_ERR_NAME_REQUIRED, "a name is missing, or & stands where &amp; should"},
	{XML_ERR_INVALID_CHAR, "a character that XML does not allow"},
	{XML_ERR_INVALID_CHARREF, "a reference to a character that XML does not allow"},
	{XML_ERR_INVALID_ENCODING, "bytes that are not of its encoding"},
	{XML_ERR_UNSUPPORTED_ENCODING, "an encoding that is not known here"},
	{XML_NS_ERR_UNDEFINED_NAMESPACE, "a prefix that nobody declared"},
};

static const char *parser_text(int code)
{
	for (size_t i = 0; i < sizeof parser_words / sizeof *parser_words; i++)
		if (parser_words[i].code == code)
			return parser_words[i].text;
	return "it breaks the rules of XML";
}

/* Only the first: what follows from it says nothing new. */
static void on_parser_error(void *context, xmlErrorPtr error)
{
	xmlParserCtxt *parser = context;
	struct parsing *p = parser->_private;

	if (error->level < XML_ERR_ERROR || p->refused->n > 0 || p->has_type)
		return;
	remark_add(p->refused, error->line > 0 ? (unsigned long)error->line : 1, "not well-formed: %s (libxml2 %d)",
		parser_text(error->code), error->code);
}

static void on_start(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_ns,
	const xmlChar **ns, int n_attributes, int n_defaulted, const xmlChar **attributes)
{
	xmlParserCtxt *parser = context;

	xmlSAX2StartElementNs(context, name, prefix, uri, n_ns, ns, n_attributes, n_defaulted, attributes);
	if (parser->node != NULL && parser->input != NULL)
		parser->node->_private = (void *)(uintptr_t)parser->input->line; /* NOLINT(performance-no-int-to-ptr) */
}

/* Entities come from here, and with them all that can be done to a parser; none of these documents has any. */
static void on_type(void *context, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
	xmlParserCtxt *parser = context;
	struct parsing *p = parser->_private;

	remark_add(p->refused, parser->input == NULL ? 1 : (unsigned long)parser->input->line,
		"a document type declaration is not taken");
	p->has_type = true;
	xmlStopParser(parser);
}

/* Loads nothing from anywhere: what a document refers to is not looked at. */
static xmlParserInput *load_nothing(const char *url, const char *id, xmlParserCtxt *parser)
{
	return NULL;
}

static void ignore_error(void *context, xmlErrorPtr error)
{
}

int document_parse(xmlDoc **out, struct bytes text, struct remarks *refused)
{
	struct parsing p = {refused, false};
	xmlParserCtxt *parser;
	xmlDoc *doc;

	*out = NULL;
	xmlSetExternalEntityLoader(load_nothing);
	parser = xmlNewParserCtxt();
	if (parser == NULL)
		return -ENOMEM;
	parser->_private = &p;
	parser->sax->serror = on_parser_error;
	parser->sax->startElementNs = on_start;
	parser->sax->internalSubset = on_type;
	doc = xmlCtxtReadMemory(parser, (const char *)text.data, (int)text.len, NULL, NULL, XML_PARSE_NONET);
	if (refused->n == 0 && (doc == NULL || !parser->wellFormed || !parser->nsWellFormed))
		remark_add(refused, 1, "not well-formed: %s", parser_text(XML_ERR_OK));
	xmlFreeParserCtxt(parser);
	if (refused->n > 0 || refused->error != 0) {
		xmlFreeDoc(doc);
		return refused->error != 0 ? refused->error : DOCUMENT_REFUSED;
	}
	*out = doc;
	return 0;
}

/* ---- The official schemas ---- */

/* Whether the schema itself could be read. */
struct schema_reading {
	bool broken;
};

static void on_schema_error(void *context, xmlErrorPtr error)
{
	struct schema_reading *s = context;

	s->broken = s->broken || error->level >= XML_ERR_ERROR;
}

static const struct {
	int code;
	const char *text;
} schema_words[] = {
	{XML_SCHEMAV_CVC_ELT_1, "not an element that a document may begin with"},
	{XML_SCHEMAV_CVC_PATTERN_VALID, "not of the form that its type asks for"},
	{XML_SCHEMAV_CVC_ENUMERATION_VALID, "not one of the values that there are"},
	{XML_SCHEMAV_CVC_LENGTH_VALID, "not of the length that its type asks for"},
	{XML_SCHEMAV_CVC_MINLENGTH_VALID, "too short"},
	{XML_SCHEMAV_CVC_MAXLENGTH_VALID, "too long"},
	{XML_SCHEMAV_CVC_MININCLUSIVE_VALID, "too small"},
	{XML_SCHEMAV_CVC_MAXINCLUSIVE_VALID, "too large"},
	{XML_SCHEMAV_CVC_DATATYPE_VALID_1_2_1, "not a value of its type"},
	{XML_SCHEMAV_CVC_COMPLEX_TYPE_2_1, "must be empty"},
	{XML_SCHEMAV_CVC_COMPLEX_TYPE_2_2, "must hold a value, no elements"},
	{XML_SCHEMAV_CVC_COMPLEX_TYPE_2_3, "must hold elements, no text of its own"},
	{XML_SCHEMAV_CVC_COMPLEX_TYPE_3_2_1, "an attribute that it may not have"},
	{XML_SCHEMAV_CVC_COMPLEX_TYPE_3_2_2, "an attribute that it may not have"},
	{XML_SCHEMAV_CVC_COMPLEX_TYPE_4, "an attribute is missing"},
	{XML_SCHEMAV_CVC_TYPE_3_1_1, "an attribute that it may not have"},
	{XML_SCHEMAV_CVC_TYPE_3_1_2, "must hold a value, no elements"},
};

static const char *schema_text(int code)
{
	for (size_t i = 0; i < sizeof schema_words / sizeof *schema_words; i++)
		if (schema_words[i].code == code)
			return schema_words[i].text;
	return "breaks it";
}

struct schema_check {
	struct remarks *refused;
	const xmlNode *last; /* said already: one mistake in a value is several to libxml2 */
};

/* The names that the schema expects, out of libxml2's message: "... Expected is one of ( {NS}A, {NS}B )." They are the schema's
 * own, so they quote nobody. False: the message has none. */
static bool expected_names(char *out, size_t size, const char *message)
{
	const char *s = message == NULL ? NULL : strstr(message, "Expected is");
	size_t n = 0;

	s = s == NULL ? NULL : strchr(s, '(');
	for (bool in_namespace = false; s != NULL && *s != '\0' && n + 1 < size; s++) {
		in_namespace = in_namespace ? *s != '}' : *s == '{';
		if (!in_namespace && *s != '}')
			out[n++] = *s;
		if (!in_namespace && *s == ')')
			break;
	}
	out[n] = '\0';
	return n > 0;
}

static void on_schema_breach(void *context, xmlErrorPtr error)
{
	struct schema_check *c = context;
	const xmlNode *node = error->node;
	const char *name;
	char names[512];

	while (node != NULL && node->type != XML_ELEMENT_NODE)
		node = node->parent;
	if (error->level < XML_ERR_ERROR || (node != NULL && node == c->last))
		return;
	c->last = node;
	name = node == NULL ? "?" : (const char *)node->name;
	if (error->code == XML_SCHEMAV_ELEMENT_CONTENT) {
		bool missing = error->message != NULL && strstr(error->message, "Missing child") != NULL;

		remark_add(c->refused, document_line(node), "official schema: %.*s: %s%s%s", DOCUMENT_NAME(name),
			missing ? "something is missing in it" : "not expected here",
			expected_names(names, sizeof names, error->message) ? "; expected: " : "", names);
		return;
	}
	remark_add(c->refused, document_line(node), "official schema: %.*s: %s (libxml2 %d)", DOCUMENT_NAME(name),
		schema_text(error->code), error->code);
}

/* Reads the schema and what it imports: files that the catalog names, never the network. NULL: it cannot. */
static xmlSchema *read_schema(const char *folder, const char *name)
{
	char *catalog = NULL, *path = NULL;
	struct schema_reading reading = {false};
	xmlSchemaParserCtxt *parser = NULL;
	xmlSchema *schema = NULL;

	if (asprintf(&catalog, "%s/catalog.xml", folder) < 0)
		catalog = NULL;
	if (asprintf(&path, "%s/%s", folder, name) < 0)
		path = NULL;
	if (catalog == NULL || path == NULL)
		goto out;
	xmlCatalogSetDefaults(XML_CATA_ALLOW_GLOBAL); /* ours, none that a schema names */
	if (xmlLoadCatalog(catalog) != 0)
		goto out;
	parser = xmlSchemaNewParserCtxt(path);
	if (parser == NULL)
		goto out;
	xmlSchemaSetParserStructuredErrors(parser, on_schema_error, &reading);
	schema = xmlSchemaParse(parser);
	if (reading.broken) {
		xmlSchemaFree(schema);
		schema = NULL;
	}
out:
	xmlSchemaFreeParserCtxt(parser);
	free(catalog);
	free(path);
	return schema;
}

int document_check(xmlDoc *doc, const char *folder, const char *name, struct remarks *refused)
{
	struct schema_check c = {refused, NULL};
	xmlSchemaValidCtxt *validator;
	xmlSchema *schema;
	int r;

	xmlSetStructuredErrorFunc(NULL, ignore_error); /* files that are not there: the outcome says it */
	xmlSetExternalEntityLoader(xmlNoNetExternalEntityLoader);
	schema = read_schema(folder, name);
	xmlSetExternalEntityLoader(load_nothing); /* the document's own hints lead nowhere */
	if (schema == NULL)
		return DOCUMENT_NO_SCHEMA;
	validator = xmlSchemaNewValidCtxt(schema);
	r = validator == NULL ? -1 : 0;
	if (r == 0) {
		xmlSchemaSetValidStructuredErrors(validator, on_schema_breach, &c);
		r = xmlSchemaValidateDoc(validator, doc);
	}
	xmlSchemaFreeValidCtxt(validator);
	xmlSchemaFree(schema);
	if (r < 0 || refused->error != 0)
		return -ENOMEM;
	if (r > 0 && refused->n == 0)
		remark_add(refused, 1, "official schema: breaks it (libxml2 %d)", r);
	return refused->n > 0 ? DOCUMENT_REFUSED : 0;
}

void document_end(void)
{
	xmlSchemaCleanupTypes();
	xmlCatalogCleanup();
	xmlCleanupParser();
}
