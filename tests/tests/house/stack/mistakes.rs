//! The checks themselves: for each plausible mistake in the template, at least one check fails.

use std::collections::BTreeMap;

use crate::stack::{
    faults::faults,
    templates::{FILES, Texts, lint, packaged, stack, texts, translate},
};

/// A mistake: its name, the place in the file that it follows, the text there, and the text that replaces it.
struct Mistake {
    what: &'static str,
    file: usize,
    after: &'static str,
    right: &'static str,
    wrong: &'static str,
}

const MAIN: usize = 0;
const WATCH: usize = 1;

const fn mistake(what: &'static str, after: &'static str, right: &'static str, wrong: &'static str) -> Mistake {
    Mistake { what, file: MAIN, after, right, wrong }
}

const MISTAKES: &[Mistake] = &[
    // Queues.
    mistake("a queue hides messages for a minute", "  DeliveryQueue:\n", "VisibilityTimeout: 900", "VisibilityTimeout: 60"),
    mistake("a queue gives up at the first receive", "  EventsQueue:\n", "maxReceiveCount: 5", "maxReceiveCount: 1"),
    mistake("retries are given up after five receives", "  RetryQueue:\n", "maxReceiveCount: 100", "maxReceiveCount: 5"),
    mistake(
        "a queue has no dead letters",
        "  DeliveryQueue:\n",
        "      RedrivePolicy: { deadLetterTargetArn: !GetAtt DeliveryDeadLetters.Arn, maxReceiveCount: 5 }\n",
        "",
    ),
    mistake("dead letters go astray", "  RetryQueue:\n", "!GetAtt RetryDeadLetters.Arn", "!GetAtt EventsDeadLetters.Arn"),
    mistake("a queue is not encrypted", "  RetryQueue:\n", "SqsManagedSseEnabled: true", "SqsManagedSseEnabled: false"),
    mistake("dead letters are kept for four days", "  RetryDeadLetters:\n", "MessageRetentionPeriod: 1209600, ", ""),
    // Functions and what invokes them.
    mistake(
        "one failure fails its batch",
        "        Retries:\n",
        "            FunctionResponseTypes: [ReportBatchItemFailures]\n",
        "",
    ),
    mistake("a batch of 11 without a window", "        FirstTries:\n", "BatchSize: 10", "BatchSize: 11"),
    mistake("a misspelt property of a mapping", "        FirstTries:\n", "BatchSize: 10", "BatchSise: 10"),
    mistake(
        "no bound on concurrency",
        "        Retries:\n",
        "            ScalingConfig: { MaximumConcurrency: !Ref MaxConcurrency }\n",
        "",
    ),
    mistake("a queue that there isn't, in an event", "        Retries:\n", "!GetAtt RetryQueue.Arn", "!GetAtt RetriesQueue.Arn"),
    mistake("a bus that there isn't, in an event", "        PlatformEvents:\n", "!Ref EventBusName", "!Ref EventBus"),
    mistake("the retries are worked twice", "        FirstTries:\n", "!GetAtt DeliveryQueue.Arn", "!GetAtt RetryQueue.Arn"),
    mistake("long replays are taken for loops", "  DeliveryFunction:\n", "RecursiveLoop: Allow", "RecursiveLoop: Terminate"),
    mistake("a level at which metrics are dropped", "  LogLevel:\n", "[TRACE, DEBUG, INFO]", "[TRACE, DEBUG, INFO, WARN]"),
    mistake(
        "the API takes all of the account's concurrency",
        "  ApiFunction:\n",
        "      ReservedConcurrentExecutions: !If [HasApiConcurrency, !Ref ApiReservedConcurrency, !Ref AWS::NoValue]\n",
        "",
    ),
    mistake(
        "the API has no environment at all",
        "  ApiFunction:\n",
        "!If [HasApiConcurrency, !Ref ApiReservedConcurrency, !Ref AWS::NoValue]",
        "!Ref ApiReservedConcurrency",
    ),
    mistake("a new account can't deploy it", "  ApiReservedConcurrency:\n", "Default: \"0\"", "Default: 50"),
    mistake(
        "what is reserved is not",
        "Conditions:\n",
        "!Not [!Equals [!Ref ApiReservedConcurrency, \"0\"]]",
        "!Equals [!Ref ApiReservedConcurrency, \"0\"]",
    ),
    mistake("a timeout of a quarter of an hour", "  DeliveryFunction:\n", "Timeout: 150", "Timeout: 900"),
    mistake("a timeout below the longest request", "  DeliveryFunction:\n", "Timeout: 150", "Timeout: 60"),
    mistake("another function's binary", "  MatcherFunction:\n", "Binary: matcher", "Binary: ingest"),
    mistake("another handler", "Globals:\n", "Handler: bootstrap", "Handler: main"),
    mistake("a runtime that there isn't", "Globals:\n", "Runtime: provided.al2023", "Runtime: provided.al2032"),
    mistake("a setting misspelt", "Globals:\n", "TRACKING_RETRY_QUEUE:", "TRACKING_RETRIES_QUEUE:"),
    mistake(
        "a setting with another's value",
        "Globals:\n",
        "TRACKING_EVENTS_QUEUE: !Ref EventsQueue",
        "TRACKING_EVENTS_QUEUE: !Ref RetryQueue",
    ),
    mistake("a parameter that there isn't", "Globals:\n", "MemorySize: !Ref Memory", "MemorySize: !Ref Memmory"),
    mistake("the sweep's input misspelt", "        Sweep:\n", "{\"sweep\": true}", "{\"sweeps\": true}"),
    mistake("the bus rule takes another source", "        PlatformEvents:\n", "platform.conversions", "platform.conversion"),
    mistake(
        "events that fail are lost",
        "  IngestFunction:\n",
        "OnFailure: { Type: SQS, Destination: !GetAtt IngestFailures.Arn }",
        "{}",
    ),
    // Access.
    mistake("the issuer misspelt", "  Authorizer:\n", "Issuer: !Ref JwtIssuer", "Issuer: !Ref JwtIsuer"),
    mistake("the audience where the issuer belongs", "  Authorizer:\n", "Issuer: !Ref JwtIssuer", "Issuer: !Ref JwtAudience"),
    mistake("a misspelt key of the authorizer", "  Authorizer:\n", "Audience: [", "Audiences: ["),
    mistake(
        "the token is looked for elsewhere",
        "  Authorizer:\n",
        "$request.header.Authorization",
        "$request.header.Authorisation",
    ),
    mistake(
        "a route without an authorizer",
        "  RootRoute:\n",
        "      AuthorizationType: JWT\n      AuthorizerId: !Ref Authorizer\n",
        "",
    ),
    mistake("all paths without a token", "  AnyPathRoute:\n", "AuthorizationType: JWT", "AuthorizationType: NONE"),
    mistake("another route without a token", "  HealthRoute:\n", "GET /healthz", "GET /{proxy+}"),
    mistake("callbacks behind a token", "  CallbackRoute:\n", "AuthorizationType: NONE", "AuthorizationType: JWT"),
    mistake("webhooks behind a token", "  WebhookRoute:\n", "AuthorizationType: NONE", "AuthorizationType: JWT"),
    mistake("every path below webhooks", "  WebhookRoute:\n", "POST /webhooks/{webhook_id}", "POST /webhooks/{proxy+}"),
    mistake(
        "callbacks may take all requests",
        "  ApiStage:\n",
        "POST /callbacks/{token}: { ThrottlingRateLimit: 50",
        "POST /callbacks/{token}: { ThrottlingRateLimit: 100",
    ),
    mistake(
        "webhooks have no limit of their own",
        "  ApiStage:\n",
        "POST /webhooks/{webhook_id}: {",
        "PUT /webhooks/{webhook_id}: {",
    ),
    mistake("the stage is made before a route that it names", "  ApiStage:\n", ", WebhookRoute]", "]"),
    mistake("callback tokens in the access log", "  ApiStage:\n", "\"$context.httpMethod\"", "\"$context.path\""),
    mistake("the public address is another setting", "Globals:\n", "!Ref PublicUrl", "!Ref JwtIssuer"),
    mistake("console files behind a token", "  ConsoleFilesRoute:\n", "AuthorizationType: NONE", "AuthorizationType: JWT"),
    mistake("every method of the console's paths", "  ConsoleFilesRoute:\n", "GET /console/{proxy+}", "ANY /console/{proxy+}"),
    mistake("the console signs in as another client", "Globals:\n", "!Ref ConsoleClientId", "!Ref JwtAudience"),
    mistake("a role may use every key", "  ApiRole:\n", "Resource: !GetAtt DataKey.Arn", "Resource: \"*\""),
    mistake("a role may do anything with the table", "  MatcherRole:\n", "dynamodb:PutItem", "dynamodb:*"),
    mistake(
        "events in the platform's name",
        "  DeliveryRole:\n",
        "                Condition: { StringEquals: { events:source: tracking-api } }\n",
        "",
    ),
    mistake("events of another source alone", "  DeliveryRole:\n", "events:source: tracking-api", "events:source: tracking"),
    mistake("a role may not publish", "  DeliveryRole:\n", "events:PutEvents", "events:PutRule"),
    mistake(
        "a role may not send retries",
        "  MatcherRole:\n",
        "!GetAtt DeliveryQueue.Arn, !GetAtt RetryQueue.Arn",
        "!GetAtt DeliveryQueue.Arn",
    ),
    mistake("two functions share a role", "  ApiFunction:\n", "Role: !GetAtt ApiRole.Arn", "Role: !GetAtt DeliveryRole.Arn"),
    mistake(
        "a managed policy",
        "  IngestRole:\n",
        "      Policies:\n",
        "      ManagedPolicyArns: [!Sub \"arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole\"]\n      Policies:\n",
    ),
    // Storage.
    mistake("nothing expires", "  Table:\n", "AttributeName: expires, Enabled: true", "AttributeName: expires, Enabled: false"),
    mistake("another attribute expires", "  Table:\n", "AttributeName: expires,", "AttributeName: expiry,"),
    mistake(
        "no way back to a point in time",
        "  Table:\n",
        "PointInTimeRecoveryEnabled: true",
        "PointInTimeRecoveryEnabled: false",
    ),
    mistake("the table goes with the stack", "  Table:\n", "DeletionPolicy: Retain", "DeletionPolicy: Delete"),
    mistake("the key goes with the stack", "  DataKey:\n", "    DeletionPolicy: Retain\n", ""),
    mistake("nobody may change the key's policy", "  DataKey:\n", "              - kms:PutKeyPolicy\n", ""),
    mistake("logs are kept for ever", "  DeliveryLogs:\n", ", RetentionInDays: !Ref LogRetentionDays", ""),
    mistake("deliveries may vanish after a week", "  DeliveryRetentionDays:\n", "MinValue: 31", "MinValue: 7"),
    // Alarms.
    mistake(
        "a queue is watched in another's place",
        "  Watch:\n",
        "!GetAtt RetryDeadLetters.QueueName",
        "!GetAtt RetryQueue.QueueName",
    ),
    Mistake {
        what: "an alarm that waits for a hundred dead letters",
        file: WATCH,
        after: "  DeliveryDeadLettersAlarm:\n",
        right: "Threshold: 0",
        wrong: "Threshold: 100",
    },
    Mistake {
        what: "an alarm on a metric that nobody writes",
        file: WATCH,
        after: "  SweepAlarm:\n",
        right: "MetricName: Sweeps",
        wrong: "MetricName: Sweep",
    },
    Mistake {
        what: "silence is taken for health",
        file: WATCH,
        after: "  SweepAlarm:\n",
        right: "TreatMissingData: breaching",
        wrong: "TreatMissingData: notBreaching",
    },
    Mistake {
        what: "a comma too much in the dashboard",
        file: WATCH,
        after: "\"title\": \"Alarms\"",
        right: "\n              ]",
        wrong: ",\n              ]",
    },
];

impl Mistake {
    /// Returns the template with this mistake, and no other difference.
    fn made(&self, texts: &Texts) -> Texts {
        let text = &texts[self.file];
        let from = text.find(self.after).unwrap_or_else(|| panic!("{}: {:?} is not there", self.what, self.after));
        let at = text[from..].find(self.right).unwrap_or_else(|| panic!("{}: {:?} does not follow", self.what, self.right));
        let (before, behind) = text.split_at(from + at);
        let mut made = texts.clone();
        made[self.file] = format!("{before}{}{}", self.wrong, &behind[self.right.len()..]);
        made
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "which check catches what is worth reading")]
fn every_mistake_is_caught() {
    let right = texts();
    let made: Vec<Texts> = MISTAKES.iter().map(|mistake| mistake.made(&right)).collect();
    // SAM's translation and our own checks take milliseconds each, cfn-lint takes seconds: only mistakes that the former miss are linted.
    let known = faults(stack());
    let translated = translate(&made);
    let mut caught: Vec<Option<String>> = translated
        .iter()
        .map(|stack| match stack {
            Err(fault) => Some(format!("sam validate: {fault}")),
            Ok(stack) => {
                let mut new = faults(stack).into_iter().filter(|fault| !known.contains(fault));
                new.next().map(|fault| format!("our checks: {fault}"))
            }
        })
        .collect();
    let mut wanted = BTreeMap::new();
    for at in (0..made.len()).filter(|at| caught[*at].is_none()) {
        let Ok(stack) = &translated[at] else { continue };
        wanted.insert(format!("{at} translated"), packaged(&stack.main));
        for (file, text) in FILES.iter().zip(&made[at]).filter(|(file, text)| **text != right[usize::from(**file == FILES[1])]) {
            wanted.insert(format!("{at} {file}"), text.clone());
        }
    }
    for (name, complaints) in lint(&wanted) {
        let (at, file) = name.split_once(' ').expect("names are made so");
        let at: usize = at.parse().expect("names are made so");
        if let (None, Some(fault)) = (&caught[at], complaints.first()) {
            caught[at] = Some(format!("cfn-lint on {file}: {fault}"));
        }
    }
    for (mistake, caught) in MISTAKES.iter().zip(&caught) {
        println!("{:50} {}", mistake.what, caught.as_deref().unwrap_or("NOT CAUGHT"));
    }
    let missed: Vec<&str> =
        MISTAKES.iter().zip(&caught).filter(|(_, caught)| caught.is_none()).map(|(mistake, _)| mistake.what).collect();
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}
