//! What the service sends by itself, as the document shows it: 3.1 has a section for that, its twin for 3.0 an extension of the
//! same shape. The sending is in `service::webhooks`; `tests/api/webhook_promises.rs` holds the section against what receivers really get.

use serde_json::json;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    ContentBuilder, HttpMethod, ObjectBuilder, PathItem, Paths, PathsBuilder, Ref, Required, ResponseBuilder, Type,
};

const DESCRIPTION: &str = "A card that your organization checked with `watch_hours` was listed. Sent to the endpoints that the operator set for you \
(`lostcard webhook add`), by Standard Webhooks 1.0.0: verify `webhook-signature` with any library of it, and take a `webhook-id` that you know for a \
repetition. Answer 2xx; anything else is tried again for three days, with a growing pause that a `Retry-After` (seconds or a date) can lengthen, to an hour at most. 410 ends the sending. \
What was missed is in `GET /v1/alerts`. \
A message of the type `webhook.test`, whose `data` is a `webhook_id`, is the operator's trial and about no card: answer it 2xx, too.";

fn header(name: &str, description: &str, example: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(example.into()))
        .build()
}

const NOTICE: &str = "A card whose loss was reported through your portal was handed in (`card_found`), or a check found it listed (`card_shown`; one notice for each \
client, day and place). Sent to the endpoints that the operator set for you, as alerts are: verify `webhook-signature`, take a `webhook-id` that you know for a \
repetition, answer 2xx. It is tried for three days. It names the report, and nobody: tell the person whom your portal knows by it, and show what \
`POST /v1/citizen/records` says.";

/// Every webhook.
pub fn sent() -> Paths {
    let text = |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    let alert = ObjectBuilder::new()
        .description(Some("An alert, as it is sent."))
        .property("type", text("Always `alert.created`."))
        .property("timestamp", text("When the card or number was listed."))
        .property("data", Ref::from_schema_name("AlertAnswer"))
        .required("type")
        .required("timestamp")
        .required("data");
    let alert_example = json!({
        "type": "alert.created",
        "timestamp": "2026-11-23T09:12:44.120Z",
        "data": {
            "alert_id": "01a20ab7-fbc3-7a3a-91a3-236b64f206b3", "check_id": "01a20ab7-fbc3-7a3a-91a3-236b64f206b2",
            "kind": "card_listed", "listing_kind": "reported", "listed_at": "2026-11-23T09:12:44.120Z", "sequence": 7,
        },
    });
    let data = ObjectBuilder::new()
        .property("notice_id", text("Names the notice; the `webhook-id`."))
        .property("kind", text("`card_found` or `card_shown`. New words may be added."))
        .property("report_id", text("The report that your portal filed."))
        .property("noticed_at", text("When the service learned about it."))
        .required("notice_id")
        .required("kind")
        .required("report_id")
        .required("noticed_at");
    let notice = ObjectBuilder::new()
        .description(Some("A notice, as it is sent."))
        .property("type", text("Always `notice.created`."))
        .property("timestamp", text("When the service learned about it."))
        .property("data", data)
        .required("type")
        .required("timestamp")
        .required("data");
    let notice_example = json!({
        "type": "notice.created",
        "timestamp": "2026-11-23T09:12:44.120Z",
        "data": {
            "notice_id": "01a20ab7-fbc3-7a3a-91a3-236b64f206b3", "kind": "card_found",
            "report_id": "01a20ab7-fbc3-7a3a-91a3-236b64f206b2", "noticed_at": "2026-11-23T09:12:44.120Z",
        },
    });
    let alerts =
        operation(("alertCreated", "checks"), ("A watched card was listed", DESCRIPTION), alert, alert_example);
    let notices =
        operation(("noticeCreated", "citizen"), ("A card was found or shown", NOTICE), notice, notice_example);
    PathsBuilder::new()
        .path("alertCreated", PathItem::new(HttpMethod::Post, alerts))
        .path("noticeCreated", PathItem::new(HttpMethod::Post, notices))
        .build()
}

fn operation(
    (id, tag): (&str, &str),
    (summary, description): (&str, &str),
    event: ObjectBuilder,
    example: serde_json::Value,
) -> Operation {
    let content = ContentBuilder::new().schema(Some(event)).example(Some(example)).build();
    let answers = [
        ("2XX", "Taken. Answer before you work on it: an endpoint has fifteen seconds."),
        ("410", "The endpoint is gone: nothing is sent to it again."),
        ("4XX", "Not taken: it is sent again later."),
        ("5XX", "Not taken: it is sent again later."),
    ];
    OperationBuilder::new()
        .operation_id(Some(id))
        .tag(tag)
        .summary(Some(summary))
        .description(Some(description))
        .parameter(header(
            "webhook-id",
            "The event's id: the same at each repetition.",
            "01a20ab7-fbc3-7a3a-91a3-236b64f206b3",
        ))
        .parameter(header("webhook-timestamp", "When this was sent, in seconds since 1970.", "1795425164"))
        .parameter(header(
            "webhook-signature",
            "`v1,` and the HMAC-SHA-256 of id, timestamp and body in base64; two while a secret is replaced.",
            "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        ))
        .request_body(Some(
            RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True)).build(),
        ))
        .securities(Some([]))
        .responses(utoipa::openapi::Responses::from_iter(
            answers.map(|(status, words)| (status, ResponseBuilder::new().description(words).build())),
        ))
        .build()
}
