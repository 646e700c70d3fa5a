/* auth.h - the AuthManager. */
#pragma once

#include "soap.h"

#define GL_AUTH_PATH "/authManager/AuthManager"

const GlPort *gl_auth_port(void);
