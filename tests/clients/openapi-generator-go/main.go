// The scenario of tests/clients with the Go client of openapi-generator: every call is a generated operation on generated types.
// Prints `ok STEP` for each step; an error ends it with what went wrong.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"time"

	"lostcard"
)

type scenario struct {
	BaseURL             string                     `json:"base_url"`
	Hotel               credentials                `json:"hotel"`
	Station             credentials                `json:"station"`
	Limited             credentials                `json:"limited"`
	Checks              []check                    `json:"checks"`
	WrongCheckCharacter string                     `json:"wrong_check_character"`
	Batch               batch                      `json:"batch"`
	Report              lostcard.LossReportRequest `json:"report"`
}

type credentials struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

type check struct {
	IDNumber      string               `json:"id_number"`
	CardValidFrom *string              `json:"card_valid_from"`
	Purpose       lostcard.PurposeName `json:"purpose"`
	Verdict       lostcard.VerdictName `json:"verdict"`
	Advice        string               `json:"advice"`
}

type batch struct {
	Items    []lostcard.CheckRequest `json:"items"`
	BadIndex int                     `json:"bad_index"`
	Expected []*lostcard.VerdictName `json:"expected"`
}

func (c check) request() lostcard.CheckRequest {
	request := lostcard.NewCheckRequest(c.Purpose)
	request.SetIdNumber(c.IDNumber)
	request.CardValidFrom = c.CardValidFrom
	return *request
}

// client is the generated client with the token of one of the service's clients.
type client struct {
	api   *lostcard.APIClient
	token string
}

func newClient(baseURL, token string) client {
	configuration := lostcard.NewConfiguration()
	configuration.Servers = lostcard.ServerConfigurations{{URL: baseURL}}
	configuration.HTTPClient = &http.Client{Timeout: 10 * time.Second}
	return client{lostcard.NewAPIClient(configuration), token}
}

// context carries the token: that is how the generated client takes one.
func (c client) context() context.Context {
	return context.WithValue(context.Background(), lostcard.ContextAccessToken, c.token)
}

func (c client) check(request lostcard.CheckRequest) (*lostcard.CheckAnswer, *http.Response, error) {
	return c.api.ChecksAPI.CreateCheck(c.context()).CheckRequest(request).Execute()
}

// checkAll gives the items as maps: their schema is lenient, a good one is a check.
func (c client) checkAll(checks []lostcard.CheckRequest) (*lostcard.BatchAnswer, error) {
	items := make([]map[string]interface{}, 0, len(checks))
	for _, each := range checks {
		item, err := each.ToMap()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	request := lostcard.NewBatchRequest(items)
	answer, _, err := c.api.ChecksAPI.CreateCheckBatch(c.context()).BatchRequest(*request).Execute()
	return answer, err
}

func (c client) report(request lostcard.LossReportRequest, key string) (*lostcard.LossReportAnswer, error) {
	answer, _, err := c.api.RegistryAPI.CreateLossReport(c.context()).LossReportRequest(request).IdempotencyKey(key).Execute()
	return answer, err
}

func signIn(baseURL string, as credentials) (client, error) {
	request := newClient(baseURL, "").api.AccessAPI.CreateToken(context.Background())
	answer, _, err := request.GrantType("client_credentials").ClientId(as.ClientID).ClientSecret(as.ClientSecret).Execute()
	if err != nil {
		return client{}, err
	}
	return newClient(baseURL, answer.AccessToken), nil
}

// refused is the problem with which a call was refused, and an error unless it has this status and code.
func refused(err error, status int32, code string) (*lostcard.Problem, error) {
	var refusal *lostcard.GenericOpenAPIError
	if !errors.As(err, &refusal) {
		return nil, fmt.Errorf("a refusal was expected, not %v", err)
	}
	problem, ok := refusal.Model().(lostcard.Problem)
	if !ok || problem.Status != status || problem.Code != code {
		return nil, fmt.Errorf("%d %s was expected: %w", status, code, err)
	}
	return &problem, nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: scenario FILE")
		os.Exit(64)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var given scenario
	if err := json.Unmarshal(text, &given); err != nil {
		return err
	}
	var hotel, station, limited client
	signInAll := func() error {
		for _, each := range []struct {
			client *client
			as     credentials
		}{{&hotel, given.Hotel}, {&station, given.Station}, {&limited, given.Limited}} {
			if *each.client, err = signIn(given.BaseURL, each.as); err != nil {
				return err
			}
		}
		return nil
	}
	steps := []struct {
		name string
		do   func() error
	}{
		{"token", signInAll},
		{"verdicts", func() error { return verdicts(hotel, given.Checks) }},
		{"batch", func() error { return checkBatch(hotel, given.Batch) }},
		{"unauthorized", func() error {
			_, _, err := newClient(given.BaseURL, "made.up.token").check(given.Checks[0].request())
			_, err = refused(err, http.StatusUnauthorized, "invalid_token")
			return err
		}},
		{"forbidden", func() error {
			_, err := hotel.report(given.Report, "go-client-0")
			_, err = refused(err, http.StatusForbidden, "insufficient_scope")
			return err
		}},
		{"unprocessable", func() error { return unprocessable(hotel, given.WrongCheckCharacter) }},
		{"limited", func() error { return limit(limited, given.Checks[0].request()) }},
		{"idempotent", func() error { return idempotent(station, given.Report) }},
		{"receipt", func() error { return receipts(hotel, given.Checks) }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Println("ok", step.name)
	}
	return nil
}

func verdicts(hotel client, checks []check) error {
	for _, each := range checks {
		answer, _, err := hotel.check(each.request())
		if err != nil {
			return err
		}
		if answer.Verdict != each.Verdict || answer.Advice != each.Advice {
			return fmt.Errorf("%s %s in place of %s %s", answer.Verdict, answer.Advice, each.Verdict, each.Advice)
		}
		if answer.HasListing() != (answer.Verdict != lostcard.VERDICTNAME_NOT_LISTED) {
			return errors.New("a listing is there where one is listed")
		}
	}
	return nil
}

func checkBatch(hotel client, given batch) error {
	answer, err := hotel.checkAll(given.Items)
	if err != nil {
		return err
	}
	var found []*lostcard.VerdictName
	for _, result := range answer.Results {
		if result.Check != nil {
			found = append(found, &result.Check.Verdict)
		} else {
			found = append(found, nil)
		}
	}
	if !reflect.DeepEqual(found, given.Expected) {
		return errors.New("the verdicts are not the expected ones")
	}
	if problem := answer.Results[given.BadIndex].Problem; problem == nil || problem.Code != "invalid_value" {
		return errors.New("the bad item has its problem")
	}
	return nil
}

func unprocessable(hotel client, idNumber string) error {
	_, _, err := hotel.check(check{IDNumber: idNumber, Purpose: lostcard.PURPOSENAME_LODGING}.request())
	problem, err := refused(err, http.StatusUnprocessableEntity, "invalid_value")
	if err != nil {
		return err
	}
	if len(problem.Errors) != 1 || problem.Errors[0].Pointer != "/id_number" {
		return errors.New("the wrong member is named")
	}
	return nil
}

// limit spends the limit, waits as long as the service says, and is answered again.
func limit(limited client, request lostcard.CheckRequest) error {
	for tries := 0; tries < 20; tries++ {
		_, response, err := limited.check(request)
		if err == nil {
			continue
		}
		if _, err := refused(err, http.StatusTooManyRequests, "limit_spent"); err != nil {
			return err
		}
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil {
			return err
		}
		time.Sleep(time.Duration(seconds) * time.Second)
		_, _, err = limited.check(request)
		return err
	}
	return errors.New("the limit is never spent")
}

func idempotent(station client, report lostcard.LossReportRequest) error {
	const key = "go-client-1"
	first, err := station.report(report, key)
	if err != nil {
		return err
	}
	repeated, err := station.report(report, key)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(first, repeated) {
		return errors.New("a repetition gets the first answer")
	}
	report.Reason = lostcard.REASONNAME_STOLEN
	_, err = station.report(report, key)
	_, err = refused(err, http.StatusUnprocessableEntity, "idempotency_key_reused")
	return err
}

// receipts verifies those of a check alone and of a batch: a path without hashes and paths with some.
func receipts(hotel client, checks []check) error {
	var listed check
	for _, each := range checks {
		if each.Verdict == lostcard.VERDICTNAME_CARD_LISTED {
			listed = each
		}
	}
	keys, _, err := hotel.api.AccessAPI.GetJwks(context.Background()).Execute()
	if err != nil {
		return err
	}
	metadata, _, err := hotel.api.AccessAPI.GetServerMetadata(context.Background()).Execute()
	if err != nil {
		return err
	}
	alone, _, err := hotel.check(listed.request())
	if err != nil {
		return err
	}
	several, err := hotel.checkAll([]lostcard.CheckRequest{listed.request(), listed.request(), listed.request()})
	if err != nil {
		return err
	}
	answers := []*lostcard.CheckAnswer{alone}
	for _, result := range several.Results {
		if result.Check == nil {
			return errors.New("every check is answered")
		}
		answers = append(answers, result.Check)
	}
	for _, answer := range answers {
		if err := verifyAnswer(answer, listed, keys, metadata.Issuer); err != nil {
			return err
		}
	}
	return nil
}

func verifyAnswer(answer *lostcard.CheckAnswer, of check, keys *lostcard.JwkSet, issuer string) error {
	claims, err := verifyReceipt(answer.GetReceipt(), keys, issuer)
	if err != nil {
		return err
	}
	if claims.CheckID != answer.CheckId || claims.Verdict != answer.Verdict {
		return errors.New("the receipt is of another check")
	}
	for _, card := range []struct {
		validFrom string
		opens     bool
	}{{*of.CardValidFrom, true}, {"", false}} {
		opens, err := claims.opens(answer.GetReceiptSalt(), of.IDNumber, card.validFrom)
		if err != nil {
			return err
		}
		if opens != card.opens {
			return errors.New("number, start and salt open the receipt, and nothing else does")
		}
	}
	forged, err := tampered(answer.GetReceipt())
	if err != nil {
		return err
	}
	if _, err := verifyReceipt(forged, keys, issuer); err == nil {
		return errors.New("a tampered receipt is taken")
	}
	return nil
}
