"""The API reference gets a token by itself: Authorize with a client's id and secret, then a call that the page makes with it."""


def a_client_gets_a_token_and_makes_a_call(reference):
    page = reference.open()
    page.click("button.authorize >> nth=0")
    page.fill("input[data-name=clientId]", reference.node.hotel[0])
    page.fill("input[data-name=clientSecret]", reference.node.hotel[1])
    # The other scheme takes a token that its reader has.
    client = page.locator(".modal-ux .auth-container", has=page.locator("input[data-name=clientId]"))
    client.locator("button.authorize").click()
    page.locator(".modal-ux button", has_text="Logout").wait_for()
    page.click(".modal-ux .btn-done >> nth=0")
    asked = [data for _, url, data in reference.sent if url.endswith("/oauth2/token")]
    assert len(asked) == 1 and "grant_type=client_credentials" in asked[0], asked
    operation = page.locator("#operations-usage-getOrganization")
    operation.locator(".opblock-summary-control").click()
    operation.locator("button.try-out__btn").click()
    operation.locator("button.execute").click()
    status = operation.locator(".live-responses-table tbody .response-col_status").first
    status.wait_for()
    assert status.inner_text().startswith("200"), operation.inner_text()


CASES = [a_client_gets_a_token_and_makes_a_call]
