<?php
// Verifies a receipt offline, as docs/RECEIPTS.md says: the head's signature by sodium, the Merkle path, the commitment.

declare(strict_types=1);

final class Receipt
{
    private function __construct(public readonly array $claims)
    {
    }

    /** Throws for whatever is not a receipt that the service at the issuer signed. */
    public static function verify(string $text, Lostcard\Model\JwkSet $keys, string $issuer): self
    {
        $parts = explode('~', $text);
        self::require(count($parts) === 3, 'a receipt has three parts');
        $head = self::verifyHead($parts[0], $keys);
        $root = self::includedRoot($parts[1], self::decode($parts[2]), $head['size']);
        self::require(hash_equals(self::decode($head['root']), $root), 'the path does not lead to the signed root');
        $claims = json_decode(self::decode($parts[1]), true, 16, JSON_THROW_ON_ERROR);
        self::require($head['iss'] === $issuer && $claims['iss'] === $issuer, 'head or claims name another issuer');
        return new self($claims);
    }

    /** Whether the receipt is about this number and card; the start is YYYY-MM-DD, or null. */
    public function opens(string $salt, string $idNumber, ?string $cardValidFrom): bool
    {
        $digest = hash('sha256', 'lostcard:v1:' . strtoupper($idNumber), true);
        $start = $cardValidFrom === null ? '00000000' : str_replace('-', '', $cardValidFrom);
        $commitment = hash('sha256', 'lostcard:receipt:v1:' . self::decode($salt) . $digest . $start, true);
        return hash_equals(self::decode($this->claims['cm']), $commitment);
    }

    /** The receipt with another verdict in its claims. */
    public static function tampered(string $text): string
    {
        [$head, $claims, $path] = explode('~', $text);
        $forged = str_replace('"card_listed"', '"not_listed" ', self::decode($claims));
        return $head . '~' . sodium_bin2base64($forged, SODIUM_BASE64_VARIANT_URLSAFE_NO_PADDING) . '~' . $path;
    }

    private static function verifyHead(string $text, Lostcard\Model\JwkSet $keys): array
    {
        $parts = explode('.', $text);
        self::require(count($parts) === 3, 'a head has one signature');
        $header = json_decode(self::decode($parts[0]), true, 16, JSON_THROW_ON_ERROR);
        // The set also holds the keys of access tokens.
        self::require($header['alg'] === 'EdDSA' && $header['typ'] === 'lostcard-receipt+jwt', 'not the head of a receipt');
        foreach ($keys->getKeys() as $key) {
            if ($key->getKid() === $header['kid']) {
                $signed = $parts[0] . '.' . $parts[1];
                $holds = sodium_crypto_sign_verify_detached(self::decode($parts[2]), $signed, self::decode($key->getX()));
                self::require($holds, "the signature is not the key's");
                return json_decode(self::decode($parts[1]), true, 16, JSON_THROW_ON_ERROR);
            }
        }
        throw new UnexpectedValueException('the key is not published');
    }

    /** RFC 9162, 2.1.3.2. */
    private static function includedRoot(string $claims, string $path, int $size): string
    {
        self::require(strlen($path) >= 4 && strlen($path) % 32 === 4, 'the path has a wrong length');
        $index = unpack('N', $path)[1];
        self::require($index < $size, 'the path has a wrong index');
        $last = $size - 1;
        $node = hash('sha256', "\x00" . $claims, true);
        foreach (strlen($path) > 4 ? str_split(substr($path, 4), 32) : [] as $sibling) {
            self::require($last !== 0, 'the path is too long');
            if ($index % 2 === 1 || $index === $last) {
                $node = hash('sha256', "\x01" . $sibling . $node, true);
                while ($index % 2 === 0 && $index !== 0) {
                    $index >>= 1;
                    $last >>= 1;
                }
            } else {
                $node = hash('sha256', "\x01" . $node . $sibling, true);
            }
            $index >>= 1;
            $last >>= 1;
        }
        self::require($last === 0, 'the path is too short');
        return $node;
    }

    private static function decode(string $text): string
    {
        return sodium_base642bin($text, SODIUM_BASE64_VARIANT_URLSAFE_NO_PADDING);
    }

    private static function require(bool $holds, string $otherwise): void
    {
        if (!$holds) {
            throw new UnexpectedValueException($otherwise);
        }
    }
}
