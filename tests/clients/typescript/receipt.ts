// Verifies a receipt offline, as docs/RECEIPTS.md describes it: the head with jose, path and commitment with SHA-256.
import { createHash } from "node:crypto";
import { compactVerify, createLocalJWKSet, type JSONWebKeySet } from "jose";

export interface Claims {
  iss: string;
  aud: string;
  iat: number;
  jti: string;
  verdict: string;
  as_of: string;
  seq: number;
  cm: string;
}

interface Head {
  iss: string;
  iat: number;
  size: number;
  root: string;
}

const sha256 = (...parts: (Uint8Array | string)[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

function unbase64url(text: string): Buffer {
  const bytes = Buffer.from(text, "base64url");
  // Node reads over what is not base64url.
  if (bytes.toString("base64url") !== text) throw new Error("not base64url without padding");
  return bytes;
}

/** RFC 9162, 2.1.3.2: the root that the claims and their path lead to. */
function includedRoot(claims: string, path: Buffer, size: number): Buffer {
  if (path.length < 4 || (path.length - 4) % 32 !== 0) throw new Error("the path has a wrong length");
  let index = path.readUInt32BE(0);
  let last = size - 1;
  if (index > last) throw new Error("the path has a wrong index");
  let node = sha256(Uint8Array.of(0), claims);
  for (let at = 4; at < path.length; at += 32) {
    const sibling = path.subarray(at, at + 32);
    if (last === 0) throw new Error("the path is too long");
    if (index % 2 === 1 || index === last) {
      node = sha256(Uint8Array.of(1), sibling, node);
      while (index % 2 === 0 && index !== 0) [index, last] = [index >>> 1, last >>> 1];
    } else {
      node = sha256(Uint8Array.of(1), node, sibling);
    }
    [index, last] = [index >>> 1, last >>> 1];
  }
  if (last !== 0) throw new Error("the path is too short");
  return node;
}

/** What an authentic receipt says; throws for any other text. */
export async function verify(receipt: string, jwks: JSONWebKeySet, issuer: string): Promise<Claims> {
  const [head, claims, path, ...rest] = receipt.split("~");
  if (head === undefined || claims === undefined || path === undefined || rest.length > 0) throw new Error("not three parts");
  const { payload, protectedHeader } = await compactVerify(head, createLocalJWKSet(jwks), { algorithms: ["EdDSA"] });
  // The set also holds the keys of access tokens.
  if (protectedHeader.typ !== "lostcard-receipt+jwt") throw new Error("not the head of a receipt");
  const tree = JSON.parse(new TextDecoder().decode(payload)) as Head;
  const says = JSON.parse(unbase64url(claims).toString()) as Claims;
  if (tree.iss !== issuer || says.iss !== issuer) throw new Error("another issuer");
  if (!includedRoot(claims, unbase64url(path), tree.size).equals(unbase64url(tree.root))) throw new Error("another root");
  return says;
}

/** Whether the receipt is about this number and card. */
export function opens(says: Claims, salt: string, idNumber: string, cardValidFrom?: string): boolean {
  const digest = sha256("lostcard:v1:", idNumber);
  const start = cardValidFrom?.replaceAll("-", "") ?? "00000000";
  return sha256("lostcard:receipt:v1:", unbase64url(salt), digest, start).toString("base64url") === says.cm;
}
