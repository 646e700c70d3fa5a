/* images.h - the HPC Images services, one a cluster, in either of two dialects. */
#pragma once

#include "soap.h"

/* `path` after "/hpc-4-": "anselm/Images". NULL: nothing is served there. */
const GlPort *gl_images_port(const char *path);
