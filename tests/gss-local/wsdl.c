#include "wsdl.h"

#include <string.h>

static void append_element(GString *out, const GlField *field, const char *name, bool qualified,
                           bool nillable)
{
	bool builtin = g_str_has_prefix(field->type, "xs:");

	g_string_append(out, "<xs:element");
	if (!field->required)
		g_string_append(out, " minOccurs=\"0\"");
	if (field->many)
		g_string_append(out, " maxOccurs=\"unbounded\"");
	if (nillable)
		g_string_append(out, " nillable=\"true\"");
	if (qualified)
		g_string_append(out, " form=\"qualified\"");
	g_string_append_printf(out, " name=\"%s\" type=\"%s%s\"/>", name,
	                       builtin ? "" : "tns:", field->type);
}

static void append_types(GString *out, const GlService *service)
{
	for (const GlType *type = service->types; type->name != NULL; type++) {
		g_string_append_printf(out, "<xs:complexType name=\"%s\"><xs:sequence>",
		                       type->name);
		for (const GlField *field = type->fields; field->name != NULL; field++)
			append_element(out, field, field->name, false,
			               service->form == GL_FORM_SPYNE);
		g_string_append(out, "</xs:sequence></xs:complexType>");
	}
}

/* spyne wraps lists into a type of their own. */
static void append_array(GString *out, const GlOperation *operation)
{
	const char *type = operation->result.type;

	g_string_append_printf(
		out,
		"<xs:complexType name=\"%sArray\"><xs:sequence>"
		"<xs:element minOccurs=\"0\" maxOccurs=\"unbounded\" nillable=\"true\" "
		"name=\"%s\" type=\"tns:%s\"/></xs:sequence></xs:complexType>",
		type, type, type);
}

static void append_operation(GString *out, const GlService *service, const GlOperation *operation,
                             const GlSettings *settings)
{
	bool spyne = service->form == GL_FORM_SPYNE;
	GlField result = operation->result;
	g_autofree char *result_name =
		spyne ? g_strconcat(operation->name, "Result", NULL) : g_strdup("return");
	g_autofree char *array = g_strconcat(result.type, "Array", NULL);
	guint order[4];
	guint count = gl_soap_order(service, operation, settings, order);

	g_string_append_printf(out, "<xs:element name=\"%s\" type=\"tns:%s\"/>", operation->name,
	                       operation->name);
	g_string_append_printf(out, "<xs:element name=\"%sResponse\" type=\"tns:%sResponse\"/>",
	                       operation->name, operation->name);
	g_string_append_printf(out, "<xs:complexType name=\"%s\"><xs:sequence>", operation->name);
	for (guint i = 0; i < count; i++)
		append_element(out, &operation->parameters[order[i]],
		               operation->parameters[order[i]].name,
		               service->form == GL_FORM_QUALIFIED_REQUESTS, spyne);
	g_string_append_printf(
		out,
		"</xs:sequence></xs:complexType><xs:complexType name=\"%sResponse\"><xs:sequence>",
		operation->name);
	if (spyne && result.many) {
		result.type = array;
		result.many = false;
	}
	append_element(out, &result, result_name, false, spyne);
	g_string_append(out, "</xs:sequence></xs:complexType>");
	if (spyne && operation->result.many)
		append_array(out, operation);
}

static void append_schema(GString *out, const GlService *service, const GlSettings *settings)
{
	g_string_append_printf(out,
	                       "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" "
	                       "xmlns:tns=\"%s\" targetNamespace=\"%s\"%s>",
	                       service->target, service->target,
	                       service->form == GL_FORM_SPYNE ? " elementFormDefault=\"qualified\""
	                                                      : "");
	for (const GlOperation *o = service->operations; o->name != NULL; o++)
		append_operation(out, service, o, settings);
	append_types(out, service);
	if (service->form != GL_FORM_SPYNE)
		g_string_append(
			out, "<xs:element name=\"IOException\" type=\"tns:IOException\"/>"
			     "<xs:complexType name=\"IOException\"><xs:sequence><xs:element "
			     "minOccurs=\"0\" name=\"message\" type=\"xs:string\"/></xs:sequence>"
			     "</xs:complexType>");
	g_string_append(out, "</xs:schema>");
}

char *gl_wsdl_write_schema(const GlService *service, const GlSettings *settings)
{
	GString *out = g_string_new("<?xml version='1.0' encoding='UTF-8'?>");

	append_schema(out, service, settings);
	return g_string_free(out, FALSE);
}

static void append_message(GString *out, const char *name, const char *part)
{
	g_string_append_printf(
		out,
		"<wsdl:message name=\"%s\"><wsdl:part name=\"%s\" element=\"tns:%s\"/>"
		"</wsdl:message>",
		name, part, name);
}

static void append_messages(GString *out, const GlService *service)
{
	bool spyne = service->form == GL_FORM_SPYNE;

	for (const GlOperation *o = service->operations; o->name != NULL; o++) {
		g_autofree char *response = g_strconcat(o->name, "Response", NULL);
		append_message(out, o->name, spyne ? o->name : "parameters");
		append_message(out, response, spyne ? response : "parameters");
	}
	if (!spyne)
		append_message(out, "IOException", "fault");
}

static void append_port_type(GString *out, const GlService *service)
{
	bool spyne = service->form == GL_FORM_SPYNE;

	g_string_append_printf(out, "<wsdl:portType name=\"%s\">", service->name);
	for (const GlOperation *o = service->operations; o->name != NULL; o++)
		g_string_append_printf(
			out,
			"<wsdl:operation name=\"%s\"><wsdl:input message=\"tns:%s\"/>"
			"<wsdl:output message=\"tns:%sResponse\"/>%s</wsdl:operation>",
			o->name, o->name, o->name,
			spyne ? ""
			      : "<wsdl:fault name=\"IOException\" "
				"message=\"tns:IOException\"/>");
	g_string_append(out, "</wsdl:portType>");
}

static void append_binding(GString *out, const GlService *service)
{
	bool spyne = service->form == GL_FORM_SPYNE;

	g_string_append_printf(
		out,
		"<wsdl:binding name=\"%sPortBinding\" type=\"tns:%s\"><soap:binding "
		"style=\"document\" transport=\"http://schemas.xmlsoap.org/soap/http\"/>",
		service->name, service->name);
	for (const GlOperation *o = service->operations; o->name != NULL; o++)
		g_string_append_printf(
			out,
			"<wsdl:operation name=\"%s\"><soap:operation soapAction=\"\"/><wsdl:input>"
			"<soap:body use=\"literal\"/></wsdl:input><wsdl:output><soap:body "
			"use=\"literal\"/></wsdl:output>%s</wsdl:operation>",
			o->name,
			spyne ? ""
			      : "<wsdl:fault name=\"IOException\"><soap:fault name=\"IOException\" "
				"use=\"literal\"/></wsdl:fault>");
	g_string_append(out, "</wsdl:binding>");
}

char *gl_wsdl_write(const GlService *service, const GlSettings *settings, const char *base)
{
	GString *out = g_string_new("<?xml version='1.0' encoding='UTF-8'?>");

	g_string_append_printf(
		out,
		"<wsdl:definitions xmlns:wsdl=\"http://schemas.xmlsoap.org/wsdl/\" "
		"xmlns:soap=\"http://schemas.xmlsoap.org/wsdl/soap/\" xmlns:tns=\"%s\" "
		"targetNamespace=\"%s\" name=\"%s\"><wsdl:types>",
		service->target, service->target, service->name);
	if (service->form == GL_FORM_SPYNE)
		append_schema(out, service, settings);
	else
		g_string_append_printf(out,
		                       "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\">"
		                       "<xs:import namespace=\"%s\" schemaLocation=\"%s?xsd=1\"/>"
		                       "</xs:schema>",
		                       service->target, base);
	g_string_append(out, "</wsdl:types>");
	append_messages(out, service);
	append_port_type(out, service);
	append_binding(out, service);
	g_string_append_printf(out,
	                       "<wsdl:service name=\"%s\"><wsdl:port name=\"%sPort\" "
	                       "binding=\"tns:%sPortBinding\"><soap:address location=\"%s\"/>"
	                       "</wsdl:port></wsdl:service></wsdl:definitions>",
	                       service->name, service->name, service->name, base);
	return g_string_free(out, FALSE);
}
