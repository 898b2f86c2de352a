<?php
// The scenario of tests/clients with the PHP client of openapi-generator: every call is a generated operation on generated types. Prints
// `ok STEP` for each step; an exception ends it.

declare(strict_types=1);

use GuzzleHttp\Client;
use Lostcard\Api\AccessApi;
use Lostcard\Api\ChecksApi;
use Lostcard\Api\RegistryApi;
use Lostcard\ApiException;
use Lostcard\Configuration;
use Lostcard\Model\BatchRequest;
use Lostcard\Model\CheckRequest;
use Lostcard\Model\LossReportRequest;
use Lostcard\Model\Problem;
use Lostcard\ObjectSerializer;

require_once '/usr/share/php/GuzzleHttp/autoload.php';
spl_autoload_register(function (string $class): void {
    if (str_starts_with($class, 'Lostcard\\')) {
        require __DIR__ . '/generated/lib/' . str_replace('\\', '/', substr($class, strlen('Lostcard\\'))) . '.php';
    }
});
set_error_handler(function (int $level, string $message, string $file, int $line): never {
    throw new ErrorException($message, 0, $level, $file, $line);
});
require __DIR__ . '/receipt.php';

$scenario = json_decode(file_get_contents($argv[1]), true, 16, JSON_THROW_ON_ERROR);
// Guzzle by itself waits without a limit.
$http = new Client(['connect_timeout' => 1, 'timeout' => 10]);
$configuration = fn (?string $token): Configuration => (new Configuration())->setHost($scenario['base_url'])->setAccessToken($token ?? '');
$access = new AccessApi($http, $configuration(null));

function check(bool $holds, string $otherwise): void
{
    if (!$holds) {
        throw new UnexpectedValueException($otherwise);
    }
}

/** A call that must be refused. */
function refused(int $status, string $code, callable $call): Problem
{
    try {
        $call();
    } catch (ApiException $refusal) {
        $problem = $refusal->getResponseObject();
        check($problem instanceof Problem, 'a refusal is a problem');
        check($refusal->getCode() === $status && $problem->getCode() === $code, "another refusal: {$refusal->getMessage()}");
        return $problem;
    }
    throw new UnexpectedValueException("$status $code was expected");
}

$signIn = function (string $who) use ($access, $scenario, $configuration): Configuration {
    ['client_id' => $id, 'client_secret' => $secret] = $scenario[$who];
    return $configuration($access->createToken('client_credentials', null, null, $id, $secret)->getAccessToken());
};
/** A card of the scenario, without what is expected of it. */
$request = function (array $card): CheckRequest {
    unset($card['verdict'], $card['advice']);
    // A date of the generated types is a DateTime.
    return ObjectSerializer::deserialize((object) $card, CheckRequest::class);
};
$checkAll = function (ChecksApi $checks, array $cards): array {
    // An item is untyped: the generated serializer makes one of a CheckRequest.
    $items = array_map(fn (CheckRequest $card): array => (array) ObjectSerializer::sanitizeForSerialization($card), $cards);
    return $checks->createCheckBatch(new BatchRequest(['checks' => $items]))->getResults();
};

$hotel = $signIn('hotel');
$checks = new ChecksApi($http, $hotel);
$registry = new RegistryApi($http, $signIn('station'));
$limited = new ChecksApi($http, $signIn('limited'));
$first = $request($scenario['checks'][0]);
$report = ObjectSerializer::deserialize((object) $scenario['report'], LossReportRequest::class);
echo "ok token\n";

foreach ($scenario['checks'] as $card) {
    $answer = $checks->createCheck($request($card));
    check([$answer->getVerdict(), $answer->getAdvice()] === [$card['verdict'], $card['advice']], "another verdict: {$answer}");
    check(($answer->getListing() === null) === ($answer->getVerdict() === 'not_listed'), 'a listing stands where one is listed');
}
echo "ok verdicts\n";

$results = $checkAll($checks, array_map($request, $scenario['batch']['items']));
$found = array_map(fn ($result) => $result->getCheck()?->getVerdict(), $results);
check($found === $scenario['batch']['expected'], 'other verdicts: ' . json_encode($found));
check($results[$scenario['batch']['bad_index']]->getProblem()?->getCode() === 'invalid_value', 'the bad item has its problem');
echo "ok batch\n";

$unknown = new ChecksApi($http, $configuration('made.up.token'));
refused(401, 'invalid_token', fn () => $unknown->createCheck($first));
echo "ok unauthorized\n";

refused(403, 'insufficient_scope', fn () => (new RegistryApi($http, $hotel))->createLossReport($report, 'php-client-0'));
echo "ok forbidden\n";

$wrong = $request(['id_number' => $scenario['wrong_check_character']] + $scenario['checks'][0]);
$errors = refused(422, 'invalid_value', fn () => $checks->createCheck($wrong))->getErrors();
check(count($errors) === 1 && $errors[0]->getPointer() === '/id_number', 'the wrong member is named');
check($errors[0]->getCode() === 'wrong_check_character', 'and what is wrong with it');
echo "ok unprocessable\n";

$isSpent = false;
for ($tries = 0; $tries < 20 && !$isSpent; $tries++) {
    try {
        $limited->createCheck($first);
    } catch (ApiException $refusal) {
        check($refusal->getResponseObject()?->getCode() === 'limit_spent', "another refusal: {$refusal->getMessage()}");
        sleep((int) array_change_key_case($refusal->getResponseHeaders())['retry-after'][0]);
        $limited->createCheck($first);
        $isSpent = true;
    }
}
check($isSpent, 'the limit is never spent');
echo "ok limited\n";

$stored = $registry->createLossReport($report, 'php-client-1');
check($stored == $registry->createLossReport($report, 'php-client-1'), 'a repetition gets the first answer');
$report->setReason('stolen');
refused(422, 'idempotency_key_reused', fn () => $registry->createLossReport($report, 'php-client-1'));
echo "ok idempotent\n";

$keys = $access->getJwks();
$issuer = $access->getServerMetadata()->getIssuer();
[$listed] = array_values(array_filter($scenario['checks'], fn (array $card): bool => $card['verdict'] === 'card_listed'));
$several = $checkAll($checks, [$request($listed), $request($listed), $request($listed)]);
foreach ([$checks->createCheck($request($listed)), ...array_map(fn ($result) => $result->getCheck(), $several)] as $answer) {
    $receipt = Receipt::verify($answer->getReceipt(), $keys, $issuer);
    check($receipt->claims['jti'] === $answer->getCheckId(), 'the receipt is of this check');
    check($receipt->claims['verdict'] === $answer->getVerdict(), 'and of its verdict');
    check($receipt->opens($answer->getReceiptSalt(), $listed['id_number'], $listed['card_valid_from']), 'number, start and salt open it');
    check(!$receipt->opens($answer->getReceiptSalt(), $listed['id_number'], null), 'and nothing else does');
    try {
        Receipt::verify(Receipt::tampered($answer->getReceipt()), $keys, $issuer);
    } catch (UnexpectedValueException) {
        continue;
    }
    throw new UnexpectedValueException('a tampered receipt is taken');
}
echo "ok receipt\n";
