"""The API reference gets a token by itself: Authorize with a client's id and secret, then a call that the page makes with it."""


def a_client_gets_a_token_and_makes_a_call(reference):
    page = reference.open()
    page.click("button.authorize >> nth=0")
    page.fill("input[data-name=clientId]", reference.node.hotel[0])
    page.fill("input[data-name=clientSecret]", reference.node.hotel[1])
    page.click(".modal-ux button.authorize >> nth=0")
    page.wait_for_selector(".modal-ux button:has-text('Logout')")
    page.click(".modal-ux .btn-done >> nth=0")
    asked = [data for _, url, data in reference.sent if url.endswith("/oauth2/token")]
    assert len(asked) == 1 and "grant_type=client_credentials" in asked[0], asked
    operation = page.locator("#operations-usage-getOrganization")
    operation.locator(".opblock-summary-control").click()
    operation.locator("button.try-out__btn").click()
    operation.locator("button.execute").click()
    status = operation.locator(".live-responses-table .response-col_status").first
    status.wait_for()
    assert status.inner_text().startswith("200"), operation.inner_text()


CASES = [a_client_gets_a_token_and_makes_a_call]
