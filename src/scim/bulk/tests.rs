use super::*;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::version::Version;
use serde_json::{Value as Json, json};

const LIMITS: BulkLimits = BulkLimits { max_operations: 5, max_payload_size: 4096 };

fn body(operations: &Json) -> Json {
    json!({"schemas": [BulkRequest::SCHEMA], "Operations": operations})
}

fn parse(body: &Json) -> Result<BulkRequest, BulkError> {
    BulkRequest::parse(body.to_string().as_bytes(), LIMITS)
}

/// Performs every step. What is created has `id-` and its name in lower case as its id; a step whose path or body
/// contains `fail` fails with 409.
fn run(body: &Json) -> (Vec<String>, Json) {
    let mut run = BulkRun::new(parse(body).unwrap(), "https://example.com/v2");
    let mut steps = Vec::new();
    while let Some(step) = run.next_step() {
        let data = Json::Object(step.data.clone()).to_string();
        steps.push(format!("{} {} {data}", step.method.as_str(), step.path));
        if data.contains("fail") || step.path.contains("fail") {
            run.record(Err(ScimError::uniqueness("userName")));
            continue;
        }
        let (status, path, id) = match step.method {
            BulkMethod::Post => {
                let name = step.data.get("n").and_then(Json::as_str).unwrap();
                (201, format!("{}/id-{name}", step.path), format!("id-{name}"))
            }
            BulkMethod::Put | BulkMethod::Patch => (200, step.path.clone(), String::new()),
            BulkMethod::Delete => (204, step.path.clone(), String::new()),
        };
        let version = (status != 204).then(|| Version::new(&steps.len().to_string()).unwrap());
        run.record(Ok(BulkSuccess {
            status,
            id,
            location: format!("https://example.com/v2{path}"),
            version,
        }));
    }
    let response = serde_json::to_value(run.finish()).unwrap();
    assert_eq!(response["schemas"], json!([BulkResponse::SCHEMA]));
    (steps, response["Operations"].clone())
}

/// `statuses` are those of the response, with the operation's `bulkId` or else its location.
fn check(operations: Json, steps: &[&str], statuses: &[(&str, &str)]) {
    check_body(&body(&operations), steps, statuses);
}

fn check_body(body: &Json, steps: &[&str], statuses: &[(&str, &str)]) {
    let (found, results) = run(body);
    assert_eq!(found, steps, "{body}");
    let found: Vec<(&str, &str)> = results
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let name = result.get("bulkId").or(result.get("location")).and_then(Json::as_str);
            (name.unwrap_or_default(), result["status"].as_str().unwrap())
        })
        .collect();
    assert_eq!(found, statuses, "{body}");
}

fn post(path: &str, name: &str, data: Json) -> Json {
    let mut data = data;
    data["n"] = json!(name);
    json!({"method": "POST", "path": path, "bulkId": name, "data": data})
}

#[test]
fn each_method_is_performed_and_reported() {
    let operations = json!([
        post("/Users", "a", json!({})),
        {"method": "PUT", "path": "/Users/b", "version": "W/\"1\"", "data": {"x": 1}},
        {"method": "PATCH", "path": "/Users/c", "data": {"Operations": []}},
        {"method": "PATCH", "path": "/Users/c", "data": [{"op": "remove", "path": "nickName"}]},
        {"method": "DELETE", "path": "/Users/d"}
    ]);
    let (steps, results) = run(&body(&operations));
    let expected = [
        r#"POST /Users {"n":"a"}"#,
        r#"PUT /Users/b {"x":1}"#,
        r#"PATCH /Users/c {"Operations":[]}"#,
        r#"PATCH /Users/c {"Operations":[{"op":"remove","path":"nickName"}],"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}"#,
        r#"DELETE /Users/d {}"#,
    ];
    assert_eq!(steps, expected);
    let expected = json!([
        {"method": "POST", "bulkId": "a", "location": "https://example.com/v2/Users/id-a", "version": "W/\"1\"", "status": "201"},
        {"method": "PUT", "location": "https://example.com/v2/Users/b", "version": "W/\"2\"", "status": "200"},
        {"method": "PATCH", "location": "https://example.com/v2/Users/c", "version": "W/\"3\"", "status": "200"},
        {"method": "PATCH", "location": "https://example.com/v2/Users/c", "version": "W/\"4\"", "status": "200"},
        {"method": "DELETE", "location": "https://example.com/v2/Users/d", "status": "204"}
    ]);
    assert_eq!(results, expected);
}

#[test]
fn versions_go_to_the_host() {
    let operation = json!({"method": "DELETE", "path": "/Users/b", "version": "W/\"7\""});
    let step = BulkRun::new(parse(&body(&json!([operation]))).unwrap(), "").next_step().unwrap();
    assert_eq!(step.version, Version::new("7"));
}

#[test]
fn references_are_resolved_wherever_an_id_belongs() {
    check(
        json!([
            post("/Groups", "g", json!({"members": [{"value": "bulkId:u", "$ref": "../Users/bulkId:u"}, {"value": "x"}]})),
            post("/Users", "u", json!({})),
            {"method": "PATCH", "path": "/Groups/bulkId:g", "data": {"Operations": [
                {"op": "remove", "path": "members[value eq \"bulkId:u\" or value eq \"y\"]"}
            ]}},
            {"method": "DELETE", "path": "/Users/bulkId:u"}
        ]),
        &[
            r#"POST /Users {"n":"u"}"#,
            r#"POST /Groups {"members":[{"$ref":"../Users/id-u","value":"id-u"},{"value":"x"}],"n":"g"}"#,
            r#"PATCH /Groups/id-g {"Operations":[{"op":"remove","path":"members[value eq \"id-u\" or value eq \"y\"]"}]}"#,
            r#"DELETE /Users/id-u {}"#,
        ],
        &[
            ("g", "201"),
            ("u", "201"),
            ("https://example.com/v2/Groups/id-g", "200"),
            ("https://example.com/v2/Users/id-u", "204"),
        ],
    );
}

#[test]
fn circles_are_created_first_and_closed_by_a_patch() {
    let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    check(
        json!([
            post("/Groups", "a", json!({"members": [{"value": "bulkId:b"}]})),
            post(
                "/Groups",
                "b",
                json!({"members": [{"value": "x"}, {"value": "bulkId:a"}], "displayName": "B"})
            ),
            post("/Users", "u", json!({urn: {"manager": {"value": "bulkId:u"}, "division": "D"}}))
        ]),
        &[
            r#"POST /Groups {"displayName":"B","n":"b"}"#,
            r#"POST /Groups {"members":[{"value":"id-b"}],"n":"a"}"#,
            concat!(
                r#"PATCH /Groups/id-b {"Operations":[{"op":"add","path":"members","value":[{"value":"x"},{"value":"id-a"}]}],"#,
                r#""schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}"#
            ),
            &format!(r#"POST /Users {{"n":"u","{urn}":{{"division":"D"}}}}"#),
            &format!(
                concat!(
                    r#"PATCH /Users/id-u {{"Operations":[{{"op":"add","path":"{}:manager","value":{{"value":"id-u"}}}}],"#,
                    r#""schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}}"#
                ),
                urn
            ),
        ],
        &[("a", "201"), ("b", "201"), ("u", "201")],
    );
}

#[test]
fn who_refers_to_what_failed_fails_too() {
    check(
        json!([
            post("/Groups", "g", json!({"members": [{"value": "bulkId:u"}]})),
            post("/Users", "u", json!({"userName": "fail"})),
            {"method": "DELETE", "path": "/Groups/bulkId:g"},
            {"method": "DELETE", "path": "/Groups/x"}
        ]),
        &[r#"POST /Users {"n":"u","userName":"fail"}"#, "DELETE /Groups/x {}"],
        &[("g", "400"), ("u", "409"), ("", "400"), ("https://example.com/v2/Groups/x", "204")],
    );
    // The second is created and lacks a member, which is told.
    check(
        json!([
            post("/Groups", "a", json!({"members": [{"value": "bulkId:b"}], "displayName": "fail"})),
            post("/Groups", "b", json!({"members": [{"value": "bulkId:a"}]}))
        ]),
        &[
            r#"POST /Groups {"n":"b"}"#,
            r#"POST /Groups {"displayName":"fail","members":[{"value":"id-b"}],"n":"a"}"#,
        ],
        &[("a", "409"), ("b", "400")],
    );
}

#[test]
fn errors_end_the_job_when_there_are_enough() {
    let operations = json!([
        {"method": "DELETE", "path": "/Users/fail1"},
        {"method": "DELETE", "path": "/Users/2"},
        {"method": "FETCH", "path": "/Users/3"},
        {"method": "DELETE", "path": "/Users/4"}
    ]);
    let [one, two, four] = ["DELETE /Users/fail1 {}", "DELETE /Users/2 {}", "DELETE /Users/4 {}"];
    let location = |id: &str| format!("https://example.com/v2/Users/{id}");
    let (first, second, fourth) = (location("fail1"), location("2"), location("4"));
    let all = [(first.as_str(), "409"), (second.as_str(), "204"), ("", "400"), (fourth.as_str(), "204")];
    for (limit, steps, results) in [
        (json!(null), &[one, two, four][..], 4),
        (json!(3), &[one, two, four], 4),
        (json!(2), &[one, two], 3),
        (json!(1), &[one], 1),
        (json!(0), &[one], 1),
    ] {
        let mut body = body(&operations);
        body["failOnErrors"] = limit;
        check_body(&body, steps, all.get(..results).unwrap());
    }
}

#[test]
fn a_job_that_ends_early_leaves_no_circle_open_unsaid() {
    let mut body = body(&json!([
        post("/Groups", "a", json!({"members": [{"value": "bulkId:b"}], "displayName": "fail"})),
        post("/Groups", "b", json!({"members": [{"value": "bulkId:a"}]}))
    ]));
    body["failOnErrors"] = json!(1);
    let (_, results) = run(&body);
    assert_eq!(results[1]["status"], "400");
    assert_eq!(results[1]["location"], "https://example.com/v2/Groups/id-b");
    assert_eq!(results[1]["response"]["scimType"], "invalidValue");
}

#[test]
fn an_operation_at_fault_says_where_unless_it_creates() {
    let operations = json!([
        {"method": "PUT", "path": "/Users/1", "data": []},
        {"method": "DELETE", "path": "/Users/2", "version": "1"},
        {"method": "PATCH", "path": "/Users/bulkId:x", "data": 1},
        {"method": "DELETE", "path": "/Users"},
        {"method": "POST", "path": "/Users", "bulkId": "b"},
    ]);
    let (_, results) = run(&body(&operations));
    let locations: Vec<_> =
        results.as_array().unwrap().iter().map(|result| result["location"].as_str()).collect();
    let at = |id: &str| format!("https://example.com/v2/Users/{id}");
    let (first, second) = (at("1"), at("2"));
    assert_eq!(locations, [Some(first.as_str()), Some(second.as_str()), None, None, None]);
}

#[test]
fn an_operation_at_fault_fails_alone() {
    let check = |operation: Json, detail: &str, scim_type: ScimType| {
        let operations =
            json!([post("/Users", "a", json!({})), operation, {"method": "DELETE", "path": "/Users/1"}]);
        let (_, results) = run(&body(&operations));
        let found = &results[1];
        assert_eq!(found["response"]["detail"], detail, "{operation}");
        assert_eq!(found["response"]["scimType"], scim_type.as_str(), "{operation}");
        assert_eq!((&found["status"], &results[2]["status"]), (&json!("400"), &json!("204")));
    };
    let (syntax, value) = (ScimType::InvalidSyntax, ScimType::InvalidValue);
    check(json!({}), "method: expected \"POST\", \"PUT\", \"PATCH\" or \"DELETE\"", syntax);
    check(
        json!({"method": "POST", "path": "/Users", "data": {}}),
        "bulkId: expected a name for what a POST creates",
        syntax,
    );
    check(json!({"method": "POST", "bulkId": "x", "data": {}}), "path: expected a string", syntax);
    check(json!({"method": "POST", "bulkId": "x", "path": "/Users"}), "data: expected an object", syntax);
    check(json!({"method": "PUT", "path": "/Users/1", "data": []}), "data: expected an object", syntax);
    check(
        json!({"method": "DELETE", "path": "/Users/1", "version": "1"}),
        "version: expected an entity tag such as W/\"1\", but found \"1\"",
        syntax,
    );
    for path in
        ["/Users", "/Users/", "Users/1", "//1", "/Users/1/2", "/Users/1?a", "https://example.com/v2/Users/1"]
    {
        let detail = format!("path: expected a resource such as \"/Users/2819c223\", but found {path:?}");
        check(json!({"method": "DELETE", "path": path}), &detail, syntax);
    }
    check(
        json!({"method": "POST", "bulkId": "x", "path": "/Users/1", "data": {}}),
        "path: expected an endpoint such as \"/Users\", but found \"/Users/1\"",
        syntax,
    );
    check(post("/Users", "a", json!({})), "bulkId: expected each once, but found \"a\" again", value);
    check(
        post("/Users", "b", json!({"manager": {"value": "bulkId:nobody"}})),
        "expected a reference to the bulkId of a POST of this request, but found \"nobody\"",
        value,
    );
}

#[test]
fn a_request_that_is_none_is_refused() {
    let malformed = |place: &str, expected| BulkError::Malformed { place: place.to_owned(), expected };
    let check = |body: Json, expected: BulkError| assert_eq!(parse(&body), Err(expected), "{body}");
    check(json!({"Operations": []}), BulkError::NoBulkRequest);
    check(json!({"schemas": [BulkRequest::SCHEMA]}), malformed("Operations", "an array"));
    check(body(&json!({})), malformed("Operations", "an array"));
    check(body(&json!([1])), malformed("Operations[0]", "an object"));
    let mut negative = body(&json!([]));
    negative["failOnErrors"] = json!(-1);
    check(negative, malformed("failOnErrors", "an integer, 1 or more"));
    assert!(matches!(BulkRequest::parse(b"[]", LIMITS), Err(BulkError::Json(_))));
}

#[test]
fn limits_hold_at_their_border() {
    let operation = json!({"method": "DELETE", "path": "/Users/1"});
    assert!(parse(&body(&json!(vec![operation.clone(); 5]))).is_ok());
    let too_many = parse(&body(&json!(vec![operation; 6]))).unwrap_err();
    assert_eq!(too_many, BulkError::TooManyOperations { limit: 5, found: 6 });
    let error = ScimError::from(too_many);
    assert_eq!((error.status, error.scim_type), (413, None));
    let empty = body(&json!([])).to_string();
    let padded = |length: usize| format!("{empty}{}", " ".repeat(length - empty.len()));
    assert!(BulkRequest::parse(padded(4096).as_bytes(), LIMITS).is_ok());
    let too_large = BulkRequest::parse(padded(4097).as_bytes(), LIMITS).unwrap_err();
    assert_eq!(too_large, BulkError::TooLarge { limit: 4096, found: 4097 });
    assert_eq!(ScimError::from(too_large).status, 413);
}

#[test]
fn a_step_without_an_outcome_has_failed() {
    let request = parse(&body(
        &json!([{"method": "DELETE", "path": "/Users/1"}, {"method": "DELETE", "path": "/Users/2"}]),
    ));
    let mut run = BulkRun::new(request.unwrap(), "");
    assert!(run.next_step().is_some() && run.next_step().is_some() && run.next_step().is_none());
    let statuses: Vec<_> =
        run.finish().operations.into_iter().map(|result| result.outcome.unwrap_err().status).collect();
    assert_eq!(statuses, [500, 500]);
}
