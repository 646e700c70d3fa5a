/* test-gss-pure.c - the parts of the GSS client that need no network: names, URLs, dates, image
 * names, Content-Range, resources. */
#include "gss/date.h"
#include "gss/error-private.h"
#include "gss/images.h"
#include "gss/resource-private.h"
#include "gss/rpc.h"
#include "gss/stat-private.h"
#include "gss/uri.h"
#include "gss/url.h"

#include <errno.h>
#include <string.h>

static void test_uri(void)
{
	static const char *const good[] = {"it4i_anselm://home", "it4i_anselm://", "a.b+c-d://x",
	                                   "plm://REPO/MODEL/1", "s://ü 😀",        "s://a\tb\nc\rd",
	                                   "s://a\x7f",          "s://\xc2\x85"};
	static const char *const bad[] = {
		"",         "home",     "://home",          "a b://x", "s:/x",   "s://a\x01",
		"s://\xff", "s://\x1f", "s://\xef\xbf\xbf", "ü://x",   "s\n://x"};
	for (guint i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(gss_uri_check(good[i], NULL));
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_false(gss_uri_check(bad[i], &error));
		g_assert_error(error, GSS_ERROR, EINVAL);
	}
	g_autofree char *tail = g_strnfill(GSS_URI_MAX, 'x');
	g_autofree char *too_long = g_strconcat("s://", tail, NULL);
	g_assert_false(gss_uri_check(too_long, NULL));
	g_autofree char *backend = gss_uri_backend("it4i_anselm://home/x://y");
	g_assert_cmpstr(backend, ==, "it4i_anselm");
	g_assert_null(gss_uri_backend("nothing"));
	g_autofree char *a = gss_uri_child("it4i_anselm://", "home");
	g_autofree char *b = gss_uri_child("it4i_anselm://home", "x");
	g_assert_cmpstr(a, ==, "it4i_anselm://home");
	g_assert_cmpstr(b, ==, "it4i_anselm://home/x");
}

static void test_names(void)
{
	static const char *const good[] = {"a",    "...", " ",  "a b", "100%",  "😀",       "-",
	                                   "a\\b", "a\n", "\t", "\r",  "a\x7f", "\xc2\x85"};
	static const char *const bad[] = {"",     ".",     "..",    "a/b",         "/",
	                                  "\x01", "a\x1b", "\xc3(", "\xef\xbf\xbe"};
	for (guint i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(gss_name_check(good[i], NULL));
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_false(gss_name_check(bad[i], &error));
		g_assert_error(error, GSS_ERROR, EINVAL);
	}
	g_autofree char *longest = g_strnfill(GSS_NAME_MAX, 'x');
	g_autofree char *longer = g_strnfill(GSS_NAME_MAX + 1, 'x');
	g_autoptr(GError) error = NULL;
	g_assert_true(gss_name_check(longest, NULL));
	g_assert_false(gss_name_check(longer, &error));
	g_assert_error(error, GSS_ERROR, ENAMETOOLONG);
}

static void test_image_names(void)
{
	static const char *const good[] = {"waiter.simg", "image-with-tag:v1.0.3.simg", "a_1.simg",
	                                   "a:B.C-d_e.simg", "0.simg"};
	static const char *const bad[] = {"waiter",     "waiter.sif", ".simg",   "Waiter.simg",
	                                  "a b.simg",   "a/b.simg",   "a:.simg", ":v.simg",
	                                  "a:b:c.simg", "a.b.simg",   "ü.simg",  "a:ü.simg",
	                                  "",           "a\n.simg"};
	for (guint i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(gss_image_name_check(good[i], NULL));
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_false(gss_image_name_check(bad[i], &error));
		g_assert_error(error, GSS_ERROR, EINVAL);
	}
}

static void test_urls(void)
{
	static const struct {
		const char *url;
		bool allow_http;
		bool good;
		bool loopback;
	} cases[] = {
		{"https://api.hetcomp.org/x?wsdl", false, true, false},
		{"http://api.hetcomp.org/x", false, false, false},
		{"http://api.hetcomp.org/x", true, true, false},
		{"http://localhost:8080/x", false, true, true},
		{"http://127.0.0.1/x", false, true, true},
		{"http://127.1.2.3:1/x", false, true, true},
		{"http://[::1]:5/x", false, true, true},
		{"http://[::2]:5/x", false, false, false},
		{"http://127.0.0.1.evil.org/", false, false, false},
		{"http://localhost.evil.org/", false, false, false},
		{"http://128.0.0.1/", false, false, false},
		{"HTTPS://HOST/x", false, true, false},
		{"file:///etc/passwd", true, false, false},
		{"ftp://host/x", true, false, false},
		{"gopher://127.0.0.1/x", true, false, false},
		{"https://user:pass@host/x", true, false, false},
		{"https://user@host/x", true, false, false},
		{"https:///x", true, false, false},
		{"https://host/a\nb", true, false, false},
		{"https://host/a\x7f", true, false, false},
		{"//host/x", true, false, false},
		{"", true, false, false},
		{"nonsense", true, false, false},
	};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(GssUrl) url = {0};
		g_autoptr(GError) error = NULL;
		bool good = gss_url_parse(&url, cases[i].url, cases[i].allow_http, EPROTO, &error);
		if (good != cases[i].good)
			g_test_message("%s", cases[i].url);
		g_assert_true(good == cases[i].good);
		if (good)
			g_assert_true(url.loopback == cases[i].loopback);
		else
			g_assert_error(error, GSS_ERROR, EPROTO);
	}
	g_auto(GssUrl) a = {0};
	g_auto(GssUrl) b = {0};
	g_assert_true(gss_url_parse(&a, "https://Host/x", false, EPROTO, NULL));
	g_assert_true(gss_url_parse(&b, "https://host:443/y", false, EPROTO, NULL));
	g_assert_true(gss_url_same_origin(&a, &b));
	g_assert_true(gss_url_parse(&b, "https://host:444/y", false, EPROTO, NULL));
	g_assert_false(gss_url_same_origin(&a, &b));
}

/* Neither a password before the host nor a token in the query is said with what is wrong. */
static void test_url_secrets(void)
{
	static const struct {
		const char *url, *shown;
	} cases[] = {
		{"http://host/a?token=hidden", "“http://host/a?…”"},
		{"http://host/a#hidden", "“http://host/a#…”"},
		{"ftp://user:hidden@host/a", "“ftp://…@host/a”"},
		{"https://user:hidden:@host/a", "a user name or password"},
		{"https://user:hid/hidden@host/a", "“https://…@host/a”"},
		{"https://user:hidden@host/a\n", "“https://…@host/a”"},
		{"http://host/a", "“http://host/a”"},
		{"a?hidden://b", "“a?…”"},
		{"nonsense", "“nonsense”"},
	};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(GssUrl) url = {0};
		g_autoptr(GError) error = NULL;
		g_assert_false(gss_url_parse(&url, cases[i].url, false, EPROTO, &error));
		g_test_message("%s", error->message);
		g_assert_null(strstr(error->message, "hid"));
		g_assert_nonnull(strstr(error->message, cases[i].shown));
	}
}

static void test_encoding(void)
{
	static const struct {
		const char *url;
		const char *location;
		const char *name;
		const char *encoded;
	} cases[] = {
		{"https://h/a%20b", NULL, NULL, "https://h/a%20b"},
		{"https://h/a b", NULL, NULL, "https://h/a%20b"},
		{"https://h/ü?q=1", NULL, NULL, "https://h/%C3%BC?q=1"},
		{"https://h/a#b", NULL, NULL, "https://h/a%23b"},
		{"https://h/100%", NULL, NULL, "https://h/100%25"},
		{"https://h/[x]", NULL, NULL, "https://h/%5Bx%5D"},
		{"https://[::1]:5/x", NULL, NULL, "https://[::1]:5/x"},
		/* Told raw from encoded by the resource. */
		{"https://h/f/home/what?", "home/what?", "what?", "https://h/f/home/what%3F"},
		{"https://h/f/home/%41", "home/%41", "%41", "https://h/f/home/%2541"},
		{"https://h/f/home/%2541", "home/%41", "%41", "https://h/f/home/%2541"},
		{"https://h/f/home/a%20b", "home/a b", "a b", "https://h/f/home/a%20b"},
		{"https://h/f/home/a b%41", "home/a b%41", "a b%41", "https://h/f/home/a%20b%2541"},
		/* The URI itself is encoded. */
		{"https://h/f/t/a%20b", "t/a%20b", "a b", "https://h/f/t/a%20b"},
		{"https://h/o?id=7&x=y", "R/M/7", "part", "https://h/o?id=7&x=y"},
		{"https://h/x\ny", NULL, NULL, "https://h/x\ny"},
		{"https://h/f/home/x%0Ay", "home/x\ny", "x\ny", "https://h/f/home/x%0Ay"},
		{"https://h/f/home/x\ny", "home/x\ny", "x\ny", "https://h/f/home/x%0Ay"},
		{"https://h/f/home/x\x7f", "home/x\x7f", "x\x7f", "https://h/f/home/x%7F"},
		{"https://h/\n/home/x y", "home/x y", "x y", "https://h/\n/home/x%20y"},
		{"https://h/f/home/x\n%25", "home/x\n%", "x\n%", "https://h/f/home/x%0A%25"},
		/* No place to hide a header in. */
		{"https://h\r\nX: y/home/x\ny", "h\r\nX: y/home/x\ny", "x",
	         "https://h\r\nX: y/home/x%0Ay"},
	};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *encoded =
			gss_url_encode(cases[i].url, cases[i].location, cases[i].name);
		g_assert_cmpstr(encoded, ==, cases[i].encoded);
	}
}

static void test_imports(void)
{
	static const char *const cases[][3] = {
		{"https://api.org/hpc/Images?wsdl", "https://inner:443/x/y/Images?xsd=1",
	         "https://api.org/hpc/Images?xsd=1"},
		{"https://api.org/hpc/Images?wsdl", "https://api.org/other?xsd=2",
	         "https://api.org/other?xsd=2"},
		{"https://api.org/hpc/Images?wsdl", "https://inner/schemas/Images.xsd",
	         "https://api.org/hpc/Images.xsd"},
		{"https://api.org/hpc/Images?wsdl", "Images.xsd", "https://api.org/hpc/Images.xsd"},
		{"https://api.org/hpc/Images?wsdl", "?xsd=1", "https://api.org/hpc/Images?xsd=1"},
		{"https://api.org/hpc/Images?wsdl", "file:///etc/x?xsd=1",
	         "https://api.org/hpc/Images?xsd=1"},
	};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *url = gss_url_import(cases[i][0], cases[i][1]);
		g_assert_cmpstr(url, ==, cases[i][2]);
	}
	g_assert_null(gss_url_import("https://api.org/x", "a\nb"));
	g_autofree char *endpoint = gss_url_endpoint("https://api.org/hpc/Images?wsdl");
	g_assert_cmpstr(endpoint, ==, "https://api.org/hpc/Images");
}

static void test_dates(void)
{
	const gint64 ns = G_GINT64_CONSTANT(784111777000000000);
	g_assert_cmpint(gss_date_parse("Sun, 06 Nov 1994 08:49:37 GMT"), ==, ns);
	g_assert_cmpint(gss_date_parse("1994-11-06T08:49:37Z"), ==, ns);
	g_assert_cmpint(gss_date_parse("1994-11-06T08:49:37"), ==, ns);
	g_assert_cmpint(gss_date_parse("1994-11-06 08:49:37"), ==, ns);
	g_assert_cmpint(gss_date_parse("1994-11-06T09:49:37+01:00"), ==, ns);
	g_assert_cmpint(gss_date_parse("1994-11-06 09:49:37 +0100"), ==, ns);
	g_assert_cmpint(gss_date_parse("1994-11-06 08:49:37 UTC"), ==, ns);
	g_assert_cmpint(gss_date_parse("1994-11-06T08:49:37.500Z"), ==, ns + 500000000);
	g_assert_cmpint(gss_date_parse("784111777"), ==, ns);
	g_assert_cmpint(gss_date_parse("784111777000"), ==, ns);
	g_assert_cmpint(gss_date_parse(""), ==, -1);
	g_assert_cmpint(gss_date_parse("yesterday"), ==, -1);
	g_assert_cmpint(gss_date_parse("-5"), ==, -1);
	g_assert_cmpint(gss_date_parse("99999999999999999999"), ==, -1);
	g_autofree char *text = gss_date_http(ns);
	g_assert_cmpstr(text, ==, "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void test_ranges(void)
{
	gint64 first;
	gint64 last;
	gint64 size;
	static const char *const bad[] = {"",
	                                  "bytes",
	                                  "bytes 5-4/10",
	                                  "bytes 0-9/5",
	                                  "bytes a-b/c",
	                                  "bytes 0-/5",
	                                  "bytes -1/5",
	                                  "items 0-1/5",
	                                  "bytes 0-1/5x",
	                                  "bytes 0-1",
	                                  "bytes 0-1/-5",
	                                  "bytes 0-99999999999999999999/*"};
	g_assert_true(gss_content_range("bytes 2-4/10", &first, &last, &size));
	g_assert_cmpint(first, ==, 2);
	g_assert_cmpint(last, ==, 4);
	g_assert_cmpint(size, ==, 10);
	g_assert_true(gss_content_range("bytes 2-4/*", &first, &last, &size));
	g_assert_cmpint(size, ==, -1);
	g_assert_true(gss_content_range("bytes */10", &first, &last, &size));
	g_assert_cmpint(first, ==, -1);
	g_assert_cmpint(size, ==, 10);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(gss_content_range(bad[i], &first, &last, &size));
}

static void test_quote(void)
{
	static const char *const secrets[] = {"s3cr3t", "ab", NULL};
	g_autofree char *a = gss_quote(" a\r\n\tb\x1b[31m s3cr3t ab ", -1, secrets);
	g_assert_cmpstr(a, ==, "a b [31m *** ab");
	g_autofree char *b = gss_quote("\xff\xfe ok", -1, NULL);
	g_assert_true(g_utf8_validate(b, -1, NULL));
	g_autofree char *huge = g_strnfill(100000, 'x');
	g_autofree char *c = gss_quote(huge, -1, NULL);
	g_assert_cmpint(g_utf8_strlen(c, -1), ==, GSS_QUOTE_MAX + 1);
}

static void test_faults(void)
{
	const char *uri = "s://home/denied.txt";
	g_assert_cmpint(gss_rpc_fault_errno("File not found: x", NULL), ==, ENOENT);
	g_assert_cmpint(gss_rpc_fault_errno("s://x does not exist", NULL), ==, ENOENT);
	g_assert_cmpint(gss_rpc_fault_errno("No such file or directory", NULL), ==, ENOENT);
	g_assert_cmpint(gss_rpc_fault_errno("Folder already exists", NULL), ==, EEXIST);
	g_assert_cmpint(gss_rpc_fault_errno("Permission denied", NULL), ==, EACCES);
	g_assert_cmpint(gss_rpc_fault_errno("Disk broken", NULL), ==, EIO);
	g_assert_cmpint(gss_rpc_fault_errno("", NULL), ==, EIO);
	g_assert_cmpint(gss_rpc_fault_errno("cannot read s://home/denied.txt", uri), ==, EIO);
	g_assert_cmpint(gss_rpc_fault_errno("cannot read home/denied.txt", uri), ==, EIO);
}

static GssResource *decode(const char *xml, GError **error)
{
	g_autoptr(GBytes) bytes = g_bytes_new_static(xml, strlen(xml));
	GssXmlNode *node = gss_xml_parse(bytes, error);
	g_assert_nonnull(node);
	GssResource *resource = gss_resource_decode(node, NULL, 7, NULL, error);
	gss_xml_node_free(node);
	return resource;
}

/* A file whose readDescription is `description`. */
static bool prepare(const char *description, GssPrepared *ret, GError **error)
{
	g_autofree char *xml = g_strdup_printf("<return><readDescription>%s</readDescription>"
	                                       "<type>FILE</type><uniqueName>s://h/x</uniqueName>"
	                                       "<visualName>x</visualName></return>",
	                                       description);
	g_autoptr(GssResource) resource = decode(xml, error);
	return resource != NULL &&
	       gss_resource_prepare(resource, GSS_VERB_READ, "TOKEN", false, ret, error);
}

#define DESCRIPTION(method, url, rest) \
	rest "<httpMethod>" method "</httpMethod><supported>true</supported><url>" url "</url>"
#define HEADER(key, value) "<headers><key>" key "</key><value>" value "</value></headers>"

static void test_descriptions(void)
{
	static const struct {
		const char *description;
		int code;
	} bad[] = {
		{"", EPERM},
		{"<supported>false</supported>", EPERM},
		{"<supported>perhaps</supported>", EPROTO},
		{"<supported>true</supported>", EPROTO},
		{DESCRIPTION("GET", "file:///etc/passwd", ""), EPROTO},
		{DESCRIPTION("GET", "http://elsewhere.org/x", ""), EPROTO},
		{DESCRIPTION("GET", "https://h/a&#10;b", ""), EPROTO},
		{DESCRIPTION("GET", "https://u:p@h/", ""), EPROTO},
		{DESCRIPTION("TRACE", "https://h/", ""), EPROTO},
		{DESCRIPTION("GET", "https://h/", HEADER("X", "a&#10;Evil: b")), EPROTO},
		{DESCRIPTION("GET", "https://h/", HEADER("X", "a&#13;b")), EPROTO},
		{DESCRIPTION("GET", "https://h/", HEADER("X Y", "a")), EPROTO},
		{DESCRIPTION("GET", "https://h/", HEADER("X:", "a")), EPROTO},
		{DESCRIPTION("GET", "https://h/", HEADER("", "a")), EPROTO},
		{DESCRIPTION("GET", "https://h/", HEADER("content-length", "5")), EPROTO},
		{DESCRIPTION("GET", "https://h/", HEADER("Transfer-Encoding", "chunked")), EPROTO},
		{DESCRIPTION("GET", "https://h/", HEADER("Host", "evil")), EPROTO},
	};
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_auto(GssPrepared) prepared = {0};
		g_autoptr(GError) error = NULL;
		g_assert_false(prepare(bad[i].description, &prepared, &error));
		g_assert_error(error, GSS_ERROR, bad[i].code);
	}
	static const struct {
		const char *field;
		const char *first;
		const char *second;
	} fields[] = {
		{"", "X-Auth-Token: old", NULL},
		{"<sessionTokenField>Deprecated</sessionTokenField>", "X-Auth-Token: old", NULL},
		{"<sessionTokenField>dePRECated</sessionTokenField>", "X-Auth-Token: old", NULL},
		{"<sessionTokenField>not a header</sessionTokenField>", "X-Auth-Token: old", NULL},
		{"<sessionTokenField>x-auth-token</sessionTokenField>", "x-auth-token: TOKEN",
	         NULL},
		{"<sessionTokenField>Other</sessionTokenField>", "X-Auth-Token: old",
	         "Other: TOKEN"},
	};
	for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
		g_auto(GssPrepared) prepared = {0};
		g_autoptr(GError) error = NULL;
		g_autofree char *description = g_strconcat(
			fields[i].field,
			DESCRIPTION("GET", "https://h/a b", HEADER("X-Auth-Token", "old")), NULL);
		prepare(description, &prepared, &error);
		g_assert_no_error(error);
		g_assert_cmpstr(prepared.url.url, ==, "https://h/a%20b");
		g_assert_cmpstr(prepared.headers->pdata[0], ==, fields[i].first);
		g_assert_cmpuint(prepared.headers->len, ==, fields[i].second != NULL ? 2 : 1);
		if (fields[i].second != NULL)
			g_assert_cmpstr(prepared.headers->pdata[1], ==, fields[i].second);
	}
	g_auto(GssPrepared) prepared = {0};
	prepare(DESCRIPTION("GET", "https://h/", HEADER("X", "")), &prepared, NULL);
	g_assert_cmpstr(prepared.headers->pdata[0], ==, "X;");
}

static void test_resources(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GssResource) minimal = decode("<r><type> FOLDER </type></r>", &error);
	g_assert_no_error(error);
	g_assert_cmpstr(gss_resource_name(minimal), ==, "");
	g_assert_null(gss_resource_uri(minimal));
	g_assert_cmpint(gss_resource_type(minimal), ==, GSS_TYPE_FOLDER);
	g_assert_false(gss_resource_query_for_name(minimal));
	g_assert_null(decode("<r><visualName>x</visualName></r>", &error));
	g_assert_error(error, GSS_ERROR, EPROTO);
	g_clear_error(&error);
	g_assert_null(decode("<r><type>LINK</type></r>", &error));
	g_assert_error(error, GSS_ERROR, EPROTO);
	g_clear_error(&error);
	g_assert_null(decode("<r><type>FILE</type><queryForName>ja</queryForName></r>", &error));
	g_assert_error(error, GSS_ERROR, EPROTO);
	g_clear_error(&error);
	/* Names that cannot be shown are delivered; URIs that cannot be sent are none. */
	g_autoptr(GssResource) odd = decode("<r><type>FILE</type><visualName>a/b</visualName>"
	                                    "<uniqueName>no uri</uniqueName></r>",
	                                    &error);
	g_assert_no_error(error);
	g_assert_cmpstr(gss_resource_name(odd), ==, "a/b");
	g_assert_null(gss_resource_uri(odd));
}

/* Resources of one listing: what is shared gives back what was said. */
static void test_shared_descriptions(void)
{
	static const struct {
		const char *name, *url;
		bool shared; /* with the one before */
	} all[] = {
		{"first", "http://127.0.0.1/rest/home/first", false},
		{"second", "http://127.0.0.1/rest/home/second", true},
		{"home", "http://127.0.0.1/rest/home/home", true},
		{"http", "http://127.0.0.1/rest/home/http", true},
		{"a b", "http://127.0.0.1/rest/home/a b", true},
		{"", "http://127.0.0.1/rest/home/", true},
		{"p%q", "http://127.0.0.1/rest/home/p%25q", false},
		{"c d", "http://127.0.0.1/rest/home/c%20d", true},
		{"e f", "http://127.0.0.1/rest/home/e+f", false},
		{"e f", "http://127.0.0.1/rest/home/e+f", true},
		{"g", "http://127.0.0.1/rest/other/g", false},
		{"h", "http://127.0.0.1/rest/other/h?name=h", false},
		{"i", "http://127.0.0.1/rest/other/h?name=i", true},
		{"j", "http://127.0.0.1/rest/other/j?name=j", false},
		{"127", "http://127.0.0.1/opaque/42", false},
		{"k", "http://127.0.0.1/opaque/42", true},
		{"l", "http://127.0.0.1/opaque/43", false},
		{"m", NULL, false},
		{"n", NULL, true},
	};
	g_autoptr(GssResource) like = NULL;
	for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
		g_autofree char *url = all[i].url != NULL
		                               ? g_strdup_printf("<url>%s</url>", all[i].url)
		                               : g_strdup("");
		g_autofree char *xml = g_strdup_printf(
			"<r><readDescription>" HEADER(
				"K", "v") "<httpMethod>GET</httpMethod>"
					  "<supported>true</supported>%s</"
					  "readDescription><type>FILE</type>"
					  "<uniqueName>s://h/%u</uniqueName><visualName>%s</"
					  "visualName></r>",
			url, i, all[i].name);
		g_autoptr(GBytes) bytes = g_bytes_new(xml, strlen(xml));
		g_autoptr(GError) error = NULL;
		GssXmlNode *node = gss_xml_parse(bytes, &error);
		g_assert_no_error(error);
		GssResource *resource = gss_resource_decode(node, NULL, 7, like, &error);
		gss_xml_node_free(node);
		g_assert_no_error(error);
		g_assert_cmpstr(gss_resource_name(resource), ==, all[i].name);
		const GssDescription *description =
			gss_resource_description(resource, GSS_VERB_READ);
		g_autofree char *back = gss_description_url(description, all[i].name);
		g_assert_cmpstr(back, ==, all[i].url);
		bool shared = like != NULL && like->descriptions == resource->descriptions;
		g_test_message("%s %s", all[i].name, shared ? "shared" : "not shared");
		g_assert_true(shared == all[i].shared);
		/* The headers are the same in any case. */
		g_assert_true(like == NULL ||
		              description->form ==
		                      gss_resource_description(like, GSS_VERB_READ)->form);
		gss_resource_unref(like);
		like = resource;
	}
	/* Any difference shows. */
	static const char *const others[] = {
		"<readDescription>" HEADER("K",
	                                   "w") "<httpMethod>GET</httpMethod>"
						"<supported>true</supported></readDescription>",
		"<readDescription>" HEADER("L",
	                                   "v") "<httpMethod>GET</httpMethod>"
						"<supported>true</supported></readDescription>",
		"<readDescription>" HEADER("K",
	                                   "v") "<httpMethod>PUT</httpMethod>"
						"<supported>true</supported></readDescription>",
		"<readDescription>" HEADER("K",
	                                   "v") "<httpMethod>GET</httpMethod>"
						"<supported>false</supported></readDescription>",
		"<readDescription>" HEADER("K", "v")
			HEADER("K", "v") "<httpMethod>GET</httpMethod>"
					 "<supported>true</supported></readDescription>",
		"<readDescription><httpMethod>GET</httpMethod><supported>true</supported></"
		"readDescription>",
		"<readDescription>" HEADER(
			"K", "v") "<httpMethod>GET</httpMethod><supported>true"
				  "</supported><url>http://127.0.0.1/o</url></readDescription>",
		"<updateDescription>" HEADER("K",
	                                     "v") "<httpMethod>GET</httpMethod>"
						  "<supported>true</supported></updateDescription>",
		"",
	};
	for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
		g_autofree char *xml = g_strdup_printf(
			"<r>%s<type>FILE</type><visualName>o</visualName></r>", others[i]);
		g_autoptr(GBytes) bytes = g_bytes_new(xml, strlen(xml));
		GssXmlNode *node = gss_xml_parse(bytes, NULL);
		g_autoptr(GssResource) other = gss_resource_decode(node, NULL, 7, like, NULL);
		gss_xml_node_free(node);
		g_assert_nonnull(other);
		g_assert_true(other->descriptions != like->descriptions);
	}
}

static void test_versions(void)
{
	char etag[] = "x";
	char other[] = "y";
	GssVersion a = {.size = 5, .mtime = 7, .etag = etag};
	GssVersion b = {.size = 5, .mtime = -1, .etag = NULL};
	g_assert_true(gss_version_equal(&a, &b));
	b.mtime = 8;
	g_assert_false(gss_version_equal(&a, &b));
	b = (GssVersion){.size = 5, .mtime = 7, .etag = other};
	g_assert_false(gss_version_equal(&a, &b));
	b = GSS_VERSION_INIT;
	g_assert_false(gss_version_equal(&b, &b));
	g_auto(GssVersion) copy = GSS_VERSION_INIT;
	gss_version_copy(&copy, &a);
	gss_version_copy(&copy, &copy);
	g_assert_true(gss_version_equal(&copy, &a));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/gss/pure/uri", test_uri);
	g_test_add_func("/gss/pure/names", test_names);
	g_test_add_func("/gss/pure/image-names", test_image_names);
	g_test_add_func("/gss/pure/urls", test_urls);
	g_test_add_func("/gss/pure/url-secrets", test_url_secrets);
	g_test_add_func("/gss/pure/encoding", test_encoding);
	g_test_add_func("/gss/pure/imports", test_imports);
	g_test_add_func("/gss/pure/dates", test_dates);
	g_test_add_func("/gss/pure/ranges", test_ranges);
	g_test_add_func("/gss/pure/quote", test_quote);
	g_test_add_func("/gss/pure/faults", test_faults);
	g_test_add_func("/gss/pure/descriptions", test_descriptions);
	g_test_add_func("/gss/pure/descriptions/shared", test_shared_descriptions);
	g_test_add_func("/gss/pure/resources", test_resources);
	g_test_add_func("/gss/pure/versions", test_versions);
	return g_test_run();
}
