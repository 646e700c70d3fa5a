/* fs/fuse.h - libfuse's low-level API, of the version this folder is written for. */
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
