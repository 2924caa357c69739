/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MEMTIDE_CONNECT_H
#define MEMTIDE_CONNECT_H

/**
 * memtide_connect() - connect to a Unix stream socket
 * @path: of the socket
 * @flags: SOCK_NONBLOCK or 0; it is closed on exec in any case
 *
 * Returns the descriptor; -ENAMETOOLONG, or what socket() or connect() say.  -EAGAIN, with SOCK_NONBLOCK: the other
 * side has no place for another one just now.
 */
int memtide_connect(const char *path, int flags);

#endif /* MEMTIDE_CONNECT_H */
