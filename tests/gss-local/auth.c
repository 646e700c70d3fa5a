#include "auth.h"

enum { USERNAME, PASSWORD, PROJECT };

static const GlField login_parameters[] = {{"username", "xs:string", false, false},
                                           {"password", "xs:string", false, false},
                                           {"project", "xs:string", false, false},
                                           {NULL, NULL, false, false}};
static const GlField token_parameter[] = {{"sessionToken", "xs:string", false, false},
                                          {NULL, NULL, false, false}};

static const GlField token_info[] = {{"project", "projectInfo", false, false},
                                     {"roles", "roleInfo", false, true},
                                     {"user", "userInfo", false, false},
                                     {NULL, NULL, false, false}};
static const GlField named[] = {{"description", "xs:string", false, false},
                                {"id", "xs:string", false, false},
                                {"name", "xs:string", false, false},
                                {NULL, NULL, false, false}};
static const GlField user_info[] = {{"description", "xs:string", false, false},
                                    {"email", "xs:string", false, false},
                                    {"id", "xs:string", false, false},
                                    {"name", "xs:string", false, false},
                                    {NULL, NULL, false, false}};

static const GlType types[] = {{"tokenInfo", token_info},
                               {"projectInfo", named},
                               {"roleInfo", named},
                               {"userInfo", user_info},
                               {NULL, NULL}};

static void get_session_token(GlCall *call)
{
	GlRequest *request = call->request;
	g_autofree char *token = gl_sessions_login(
		request->server->sessions, call->arguments[USERNAME], call->arguments[PASSWORD],
		call->arguments[PROJECT], request->settings.token_life);

	if (token != NULL)
		gl_call_return(call, token);
	else
		gl_call_fault(call, "Authentication failed: invalid user, password or project");
}

static void validate_session_token(GlCall *call)
{
	bool valid = gl_sessions_check(call->request->server->sessions, call->arguments[0], NULL);
	gl_call_return(call, valid ? "true" : "false");
}

static void get_username(GlCall *call)
{
	if (gl_call_authenticate(call, call->arguments[0]))
		gl_call_return(call, call->identity.username);
}

static void get_project(GlCall *call)
{
	if (gl_call_authenticate(call, call->arguments[0]))
		gl_call_return(call, call->identity.project);
}

static void get_email(GlCall *call)
{
	if (gl_call_authenticate(call, call->arguments[0]))
		gl_call_return(call, call->identity.email);
}

static void get_token_info(GlCall *call)
{
	GString *out = call->out;

	if (!gl_call_authenticate(call, call->arguments[0]))
		return;
	gl_call_item_begin(call, out);
	g_string_append(out, "<project>");
	gl_call_field(call, out, "id", call->identity.project);
	gl_call_field(call, out, "name", call->identity.project);
	g_string_append(out, "</project><roles>");
	gl_call_field(call, out, "id", "1");
	gl_call_field(call, out, "name", "user");
	g_string_append(out, "</roles><user>");
	gl_call_field(call, out, "email", call->identity.email);
	gl_call_field(call, out, "id", call->identity.username);
	gl_call_field(call, out, "name", call->identity.username);
	g_string_append(out, "</user>");
	gl_call_item_end(call, out);
}

#define TEXT                                    \
	{                                       \
		NULL, "xs:string", false, false \
	}

static const GlOperation operations[] = {
	{"getSessionToken", login_parameters, TEXT, get_session_token},
	{"validateSessionToken",
         token_parameter,
         {NULL, "xs:boolean", true, false},
         validate_session_token},
	{"getUsername", token_parameter, TEXT, get_username},
	{"getProject", token_parameter, TEXT, get_project},
	{"getEmail", token_parameter, TEXT, get_email},
	{"getTokenInfo", token_parameter, {NULL, "tokenInfo", false, false}, get_token_info},
	{NULL, NULL, {NULL, NULL, false, false}, NULL}};

static const GlService service = {.name = "AuthManager",
                                  .prefix = "auth",
                                  .target = "http://authmanager.sintef.no/",
                                  .form = GL_FORM_QUALIFIED_REQUESTS,
                                  .types = types,
                                  .operations = operations};

static const GlService *the_service(const GlSettings *settings)
{
	return &service;
}

const GlPort *gl_auth_port(void)
{
	static const GlPort port = {GL_AUTH_PATH, the_service, 0};
	return &port;
}
