// Ed25519 (RFC 8032): the browser's own where it has one, the vendored one elsewhere.

/** Whether `signature` over `message` is of the key with these 32 bytes. */
export async function verifies(key, signature, message) {
  try {
    const imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
    return await crypto.subtle.verify({ name: "Ed25519" }, imported, signature, message);
  } catch (error) {
    if (error.name !== "NotSupportedError") return false;
  }
  const { verifyAsync } = await import("./ed25519.min.js");
  try {
    return await verifyAsync(signature, message, key, { zip215: false });
  } catch {
    return false;
  }
}
