// Verifies a receipt offline, as docs/RECEIPTS.md says: the head's signature, the Merkle path, the commitment. By the JDK alone, which
// has Ed25519 since 15; before that a provider with it is needed.

import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.Locale;
import java.util.Map;
import lostcard.model.Jwk;
import lostcard.model.JwkSet;

final class Receipt {
    /** A public key of Ed25519 as X.509 has it, up to its 32 bytes (RFC 8410, 4). */
    private static final byte[] X509_PREFIX = new BigInteger("302a300506032b6570032100", 16).toByteArray();

    private final Map<?, ?> claims;

    private Receipt(Map<?, ?> claims) {
        this.claims = claims;
    }

    /** Fails for whatever is not a receipt that the service at the issuer signed. */
    static Receipt verify(String text, JwkSet keys, String issuer) throws GeneralSecurityException {
        String[] parts = text.split("~", -1);
        require(parts.length == 3, "a receipt has three parts");
        Map<?, ?> head = verifyHead(parts[0], keys);
        byte[] root = includedRoot(parts[1], decode(parts[2]), ((Number) head.get("size")).longValue());
        require(encode(root).equals(head.get("root")), "the path does not lead to the signed root");
        Map<?, ?> claims = json(decode(parts[1]));
        require(issuer.equals(head.get("iss")) && issuer.equals(claims.get("iss")), "head or claims name another issuer");
        return new Receipt(claims);
    }

    String claim(String name) {
        return (String) claims.get(name);
    }

    /** Whether the receipt is about this number and card; the start is YYYY-MM-DD, or null. */
    boolean opens(String salt, String idNumber, String cardValidFrom) throws GeneralSecurityException {
        byte[] digest = hash(ascii("lostcard:v1:"), ascii(idNumber.toUpperCase(Locale.ROOT)));
        String start = cardValidFrom == null ? "00000000" : cardValidFrom.replace("-", "");
        byte[] commitment = hash(ascii("lostcard:receipt:v1:"), decode(salt), digest, ascii(start));
        return encode(commitment).equals(claims.get("cm"));
    }

    /** The receipt with another verdict in its claims. */
    static String tampered(String text) {
        String[] parts = text.split("~", -1);
        String claims = new String(decode(parts[1]), StandardCharsets.UTF_8);
        String forged = claims.replace("\"card_listed\"", "\"not_listed\" ");
        return parts[0] + "~" + encode(forged.getBytes(StandardCharsets.UTF_8)) + "~" + parts[2];
    }

    private static Map<?, ?> verifyHead(String text, JwkSet keys) throws GeneralSecurityException {
        String[] parts = text.split("\\.", -1);
        require(parts.length == 3, "a head has one signature");
        Map<?, ?> header = json(decode(parts[0]));
        // The set also holds the keys of access tokens.
        require("EdDSA".equals(header.get("alg")) && "lostcard-receipt+jwt".equals(header.get("typ")), "not the head of a receipt");
        for (Jwk key : keys.getKeys()) {
            if (key.getKid().equals(header.get("kid"))) {
                Signature signature = Signature.getInstance("Ed25519");
                signature.initVerify(publicKey(key));
                signature.update(ascii(parts[0] + "." + parts[1]));
                require(signature.verify(decode(parts[2])), "the signature is not the key's");
                return json(decode(parts[1]));
            }
        }
        throw new GeneralSecurityException("the key is not published");
    }

    private static PublicKey publicKey(Jwk key) throws GeneralSecurityException {
        byte[] x = decode(key.getX());
        byte[] encoded = ByteBuffer.allocate(X509_PREFIX.length + x.length).put(X509_PREFIX).put(x).array();
        return KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(encoded));
    }

    /** RFC 9162, 2.1.3.2. */
    private static byte[] includedRoot(String claims, byte[] path, long size) throws GeneralSecurityException {
        require(path.length >= 4 && path.length % 32 == 4, "the path has a wrong length");
        ByteBuffer hashes = ByteBuffer.wrap(path);
        long index = hashes.getInt() & 0xffffffffL;
        require(index < size, "the path has a wrong index");
        long last = size - 1;
        byte[] node = hash(new byte[] {0}, ascii(claims));
        byte[] sibling = new byte[32];
        while (hashes.hasRemaining()) {
            hashes.get(sibling);
            require(last != 0, "the path is too long");
            if (index % 2 == 1 || index == last) {
                node = hash(new byte[] {1}, sibling, node);
                while (index % 2 == 0 && index != 0) {
                    index /= 2;
                    last /= 2;
                }
            } else {
                node = hash(new byte[] {1}, node, sibling);
            }
            index /= 2;
            last /= 2;
        }
        require(last == 0, "the path is too short");
        return node;
    }

    private static Map<?, ?> json(byte[] text) {
        return Library.read(new String(text, StandardCharsets.UTF_8), Map.class);
    }

    private static byte[] hash(byte[]... parts) throws GeneralSecurityException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            all.write(part, 0, part.length);
        }
        return MessageDigest.getInstance("SHA-256").digest(all.toByteArray());
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    private static byte[] decode(String text) {
        return Base64.getUrlDecoder().decode(text);
    }

    private static String encode(byte[] data) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(data);
    }

    private static void require(boolean holds, String otherwise) throws GeneralSecurityException {
        if (!holds) {
            throw new GeneralSecurityException(otherwise);
        }
    }
}
