#include "fs/ops.h"

#define MIB (1024 * 1024)
/* Reads that wait for the network are background requests; the default of 12 would let a few stuck
 * ones stop all others. */
#define MAX_BACKGROUND 512
#define CONGESTION (MAX_BACKGROUND * 3 / 4)

static void want(struct fuse_conn_info *conn, unsigned capability, bool on)
{
	if (on)
		conn->want |= conn->capable & capability;
	else
		conn->want &= ~capability;
}

void fs_ops_negotiate(struct fuse_conn_info *conn)
{
	/* With a page less, the pipe of a user who isn't root would hold a request, and writes
	 * would be spliced. Measured: no gain over copying (1.7 s for 5 x 256 MiB either way, the
	 * same processor time). */
	conn->max_write = MIB;
	conn->max_readahead = MIB;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION;
	want(conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE, true);
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true);
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	want(conn, FUSE_CAP_ASYNC_READ, true);
	/* Neither of the two. A changed size then drops the file's pages together with the answer
	 * that tells it: with EXPLICIT_INVAL_DATA the page of the old end stays, its rest read as
	 * zeros, until our notification comes, and `tail -f` reads between the two. With
	 * AUTO_INVAL_DATA an mtime that merely became known would cost the page cache; that the
	 * content of an unchanged size changed, fs/notify.h and the next open tell. */
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, false);
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
	/* With it the kernel would own size and mtime. */
	want(conn, FUSE_CAP_WRITEBACK_CACHE, false);
	/* The kernel asks for attributes with the names where it looked names up meanwhile. What is
	 * not known comes without. */
	want(conn, FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO, true);
	/* The kernel clears set-user-ID bits itself, through setattr. */
	want(conn, FUSE_CAP_HANDLE_KILLPRIV, false);
	/* No NFS: nodes can't be found by number after the kernel forgot them. */
	want(conn, FUSE_CAP_EXPORT_SUPPORT, false);
}

const struct fuse_lowlevel_ops fs_ops = {
	.lookup = fs_op_lookup,
	.forget = fs_op_forget,
	.forget_multi = fs_op_forget_multi,
	.getattr = fs_op_getattr,
	.setattr = fs_op_setattr,
	.mknod = fs_op_mknod,
	.mkdir = fs_op_mkdir,
	.unlink = fs_op_unlink,
	.rmdir = fs_op_rmdir,
	.symlink = fs_op_symlink,
	.rename = fs_op_rename,
	.link = fs_op_link,
	.open = fs_op_open,
	.read = fs_op_read,
	.write_buf = fs_op_write_buf,
	.flush = fs_op_flush,
	.release = fs_op_release,
	.fsync = fs_op_fsync,
	.opendir = fs_op_opendir,
	.readdir = fs_op_readdir,
	.readdirplus = fs_op_readdirplus,
	.releasedir = fs_op_releasedir,
	.fsyncdir = fs_op_fsyncdir,
	.statfs = fs_op_statfs,
	.setxattr = fs_op_setxattr,
	.getxattr = fs_op_getxattr,
	.listxattr = fs_op_listxattr,
	.removexattr = fs_op_removexattr,
	.create = fs_op_create,
	.poll = fs_op_poll,
	/* Not there, so that the kernel does them in its own way: access (default_permissions),
         * fallocate (EOPNOTSUPP: room can't be reserved), lseek for data and holes (files have no
         * holes), copy_file_range, locks (of this machine only), readlink, ioctl. */
};
