/* fileutilities.h - the GSS service itself, FileUtilities. */
#pragma once

#include "soap.h"

#define GL_FILEUTILITIES_PATH "/gss-0.1/FileUtilities"

const GlPort *gl_fileutilities_port(void);
