// SPDX-License-Identifier: Apache-2.0
// What the first version of each message looked like, in hex. Other versions of weir read it, so it never changes: a new field
// gets a new entry.

/** 192 bytes, 0 to 191: two records as far as messages can tell. */
const RECORDS =
  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" +
  "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f" +
  "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f" +
  "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f" +
  "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f" +
  "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf";

/** A digest's buckets but for the first and the last. */
const ZEROS = "00".repeat(1022 * 8);

export const FROZEN: Readonly<Record<string, string>> = {
  envelope:
    "0a057261636b311202643118ef9bafcdf8acd1910120ac02280130053900000000004a934042c501080112c001" +
    RECORDS,
  hello:
    "0a057261636b311202643118ef9bafcdf8acd1910120ac022a0d31302e3230302e302e302f32382a0d31302e3230312e" +
    "302e302f323835efcdab89391032547698badcfe4100000000004a93404a160a026432110000000000d0584019000000" +
    "000000e03f52110a026432100718818080808080808080015801600969ffffffffffffffff70c0843d",
  digestMessage:
    "0a057261636b3112026431180120092a80400807060504030201" +
    ZEROS +
    "ffffffffffffffff",
  resendRequestRange: "080112021005",
  resendRequestSince: "0801190000000000000000",
  resendReply: "0a0201020a0010011801",
  snapshotRequest: "08051080808080802018aa15",
  snapshotReply: "080110011ac001" + RECORDS + "20002880bfd60630ac02",
  repairRequest: "0a040007ff0712100100000000000000ffffffffffffffff",
  repairReply: "080112c001" + RECORDS,
  lookupRequest:
    "0a20000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
  lookupReply: "080112c001" + RECORDS,
};
