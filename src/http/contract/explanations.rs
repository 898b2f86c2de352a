//! What each problem means, for people: what happened and why, in English and in Chinese. What to do about it is in English in
//! `problem`, next to the code; here are the Chinese words for it, and what a clerk needs to know at the desk.

use super::problem;

/// One problem's words. The first two languages of the service are those of its clerks and of its integrators.
#[derive(Debug)]
pub struct Explanation {
    pub code: &'static str,
    pub happened: &'static str,
    pub why: &'static str,
    pub zh: Chinese,
}

#[derive(Debug)]
pub struct Chinese {
    pub title: &'static str,
    pub happened: &'static str,
    pub why: &'static str,
    pub remedy: &'static str,
}

/// The words for a kind of problem.
pub fn of(kind: &problem::Kind) -> Option<&'static Explanation> {
    ALL.iter().find(|explanation| explanation.code == kind.code)
}

/// What to do at the desk while the program gets no verdict, in English and in Chinese.
pub const AT_THE_DESK: [&str; 2] = [
    "There is no verdict, which is not the same as \"no report found\". Follow your house's rule for checks that cannot be made, note the time, and check again later. Never keep the card.",
    "没有核查结果，不等于“未查到挂失记录”。请按本单位无法核查时的规定办理，记下时间，稍后再查。绝不扣留证件。",
];

macro_rules! explanations {
    ($($code:literal: $happened:literal, $why:literal; $title_zh:literal, $happened_zh:literal, $why_zh:literal, $remedy_zh:literal;)+) => {
        /// Every kind's words, in the order of `problem::ALL`.
        pub const ALL: &[Explanation] = &[$(Explanation {
            code: $code,
            happened: $happened,
            why: $why,
            zh: Chinese { title: $title_zh, happened: $happened_zh, why: $why_zh, remedy: $remedy_zh },
        }),+];
    };
}

explanations! {
    "malformed_json": "The body of the request could not be read, so nothing was done.",
        "It is not JSON, or it is JSON with a member that the operation does not know, that appears twice, is missing, is null or has another type.";
        "请求正文不是规定格式的 JSON", "请求正文无法读取，服务未做任何处理。", "正文不是 JSON，或其中有未知、重复、缺少、为空或类型不符的成员。",
        "请发送一个 JSON 对象，只含文档中的成员，每个一次，不得为 null。detail 说明读到哪里停止。";
    "malformed_request": "The service refused the request before it looked at its body.",
        "A header, the path or the query does not follow HTTP or this API. Query strings are refused where they could hold a number: URLs end up in logs.";
        "请求格式有误", "服务在读取正文之前就拒绝了请求。", "请求头、路径或查询参数不符合 HTTP 或本接口的规定。网址会进入日志，因此一般不接受查询参数。",
        "请看 detail。只有列表接口接受文档列出的查询参数，任何号码都不得出现在网址里。";
    "invalid_token": "The caller could not be recognised, so the operation was not carried out.",
        "The access token is missing, has expired, was revoked, was signed by another service, or its client was disabled.";
        "没有有效的访问令牌", "无法识别调用方，操作未执行。", "访问令牌缺失、过期、已撤销、由别的服务签发，或该客户端已停用。",
        "通过 POST /oauth2/token 获取令牌，以 Authorization: Bearer 发送。令牌有效期十分钟，过期后重新获取。";
    "passkey_refused": "Nobody was signed in, and no passkey was registered.",
        "The link has expired or was used, the answer came too late or twice, or it is not of a passkey of this service. Which of these it is, is not told.";
        "通行密钥无法使用", "没有人登录，也没有登记任何通行密钥。", "链接已过期或已被使用，答复来得太晚或重复，或者不是本服务的通行密钥。出于安全，不说明是哪一种。",
        "请用为本服务创建的通行密钥重新开始。没有通行密钥时，请向运营方索取新的链接。";
    "insufficient_scope": "The token is valid, but not for this operation, which was not carried out.",
        "A client may do only what its scopes allow, so that a leaked secret opens no more than its program needs.";
        "令牌缺少此操作所需的权限范围", "令牌有效，但不适用于此操作，操作未执行。", "客户端只能做其权限范围允许的事，这样密钥泄露时影响最小。",
        "请运营方为客户端增加该操作所需的权限范围，然后重新获取令牌。";
    "insufficient_role": "The operation was not carried out: the person is known, and it is not theirs to do.",
        "Persons of the operator look, make and change, or approve, by the groups of their login. Who asks does not approve, and clients approve nothing where persons do.";
        "该人员的角色无权执行此操作", "操作没有执行：人员身份已确认，但此操作不属于其角色。", "运营方人员按登录系统中的组分为查看、办理和批准。提出请求的人不能批准；设有人员登录时，客户端不能批准。",
        "请由具有所需角色的人员办理。角色由登录系统中的组决定，见运营方的设置。";
    "client_held": "The number was not looked up. Numbers that the client asked about lately still get answers.",
        "The client was out of numbers on two days of a month, or sent many wrong check characters. That is how somebody reads the registry number by number.";
        "该客户端对新号码的核查已停用", "没有查询此号码。该客户端近期核查过的号码仍可核查。", "该客户端一个月内有两天用完了号码额度，或发来许多校验码错误的号码，这正是逐个试探登记库的方式。",
        "请联系运营方核实用途，由运营方解除。";
    "digests_refused": "The digest was not looked up.",
        "A digest hides where its number belongs. The operator has decided that this client sends numbers, so that it shows if somebody tries them one after the other.";
        "该客户端不得发送摘要", "没有查询此摘要。", "摘要看不出号码属于何地。运营方规定该客户端发送号码，以便发现逐个试探。",
        "请发送 id_number 代替 id_digest，或请运营方允许该客户端发送摘要。";
    "office_not_yours": "The operation was not carried out, though the token carries its scope.",
        "An organization acts for its own offices and ends its own reports, so that a stolen password lists and unlists nobody elsewhere.";
        "该办理单位不属于本单位", "令牌虽有权限范围，操作仍未执行。", "每个单位只能以自己的办理单位名义办理，只能解除自己受理的挂失，密钥被盗时不会波及别处。",
        "请使用本单位的办理单位代码：以本单位所在区划或运营方登记的前缀开头。别的单位受理的挂失由该单位解除，或请联系运营方。";
    "another_must_confirm": "What was asked for was not done: it still waits for another client.",
        "Many withdrawals of a client in a day, a new registrar and the scope `citizen` need a second client to agree: one stolen password is not enough.";
        "须由另一客户端确认", "所请求的操作尚未完成，仍在等待另一个客户端确认。", "一个客户端一天内解除的挂失过多、新增登记机关或授予 citizen 权限时，须由第二个客户端确认，仅凭一个被盗的密钥不够。",
        "请由本单位的另一个客户端发送确认，或由另一位运营人员批准，提出请求的客户端自己不能确认。";
    "command_line_only": "The operation was not carried out, though the token carries its scope.",
        "Who could make a second operator by the API, or take the place of one, would approve what he asked for himself.";
        "只能在命令行办理", "令牌虽有权限范围，操作仍未执行。", "如能通过接口新增运营方客户端或取得其密钥，就能自己批准自己的请求。",
        "请在节点的命令行用 lostcard client 新增运营方客户端，并为其设置密钥、公钥和证书。";
    "pairing_refused": "The page was not paired, and nothing was registered.",
        "The code is wrong, was used already, is older than ten minutes, or was guessed at too often. Which of these it is, is not told.";
        "配对码无法使用", "页面没有完成配对，也没有登记任何密钥。", "配对码有误、已被使用、已超过十分钟，或被试错过多。出于安全，不说明是哪一种。",
        "请重新核对配对码：十分钟内有效，只能使用一次，最多尝试五次。必要时请向运营方索取新的配对码。";
    "not_found": "Nothing is there that this caller may see.",
        "The path or the id is wrong, or the object belongs to another organization. The service does not say which.";
        "没有这个对象，或无权查看", "没有此调用方可以查看的内容。", "路径或编号有误，或对象属于别的单位。服务对任何人都不区分这两种情况。",
        "请检查路径和编号。其他单位的对象一律按不存在答复。";
    "method_not_allowed": "The path exists, but not with this method, so nothing was done.",
        "Each path takes the methods of the OpenAPI document and no others.";
        "此路径不支持该方法", "路径存在，但不支持该方法，服务未做任何处理。", "每个路径只接受 OpenAPI 文档列出的方法。",
        "请使用 Allow 响应头列出的方法。";
    "too_slow": "The service stopped waiting for the rest of the request.",
        "The request arrived with long pauses. Places are bounded, and one slow sender must not take them from the others.";
        "请求没有按时到达", "服务不再等待请求的其余部分。", "请求到达时停顿太久。连接数有限，不能让一个慢的发送方占用别人的位置。",
        "请不停顿地发送整个请求，并检查连接是否缓慢或中断。";
    "report_not_active": "The loss report was left as it is.",
        "It was withdrawn or replaced before, perhaps by somebody else a moment ago. Reports go from active to one end, and stay there.";
        "挂失报告的状态不允许此操作", "挂失报告未作改动。", "该报告此前已撤销或已换领，也可能刚由别人处理。报告只能从有效变为一种终结状态。",
        "请读取该报告：已撤销或已换领的不再改变。换领后找到的旧证应当上交。";
    "wrong_state": "The object was left as it is.",
        "Its state is not the one from which the operation starts, perhaps because somebody else was first.";
        "对象的状态不允许此操作", "对象保持原状，未作任何改动。", "对象的状态不是此操作的起始状态，也可能别人已先处理。",
        "detail 说明当前状态或阻碍的原因。请读取该对象，每种状态变化只发生一次。";
    "start_not_after_listed": "Nothing was recorded: the new card would itself be listed.",
        "A card of the number that starts on that day or later is reported or replaced. Nearly always one digit of the year is wrong, here or in what was recorded before.";
        "新证的起始日期不晚于已列入的证件", "没有记录任何内容：按此日期，新证本身会被列入。", "该号码已有起始日期相同或更晚的证件被挂失或换领。几乎都是年份有一位数字写错，可能在这里，也可能在以前的记录里。",
        "请重新读取新证的有效期起始日期。如果以前的换领记录日期有误，请更正那一条：POST /v1/replacements/{id}/correction。";
    "base_too_old": "The service evaluated none of the numbers.",
        "An answer tells the changes since what the client knows, 4,096 at most. The client is further behind, or knows less than the base of its key.";
        "客户端所知的登记库状态过旧", "服务没有对任何号码求值。", "答复会列出客户端所知之后的变更，最多 4096 条。客户端落后更多，或所知早于其密钥的基础文件。",
        "请重新读取最新密钥的基础文件，或读取登记日志中此后的条目，然后以较新的 after 再次请求。";
    "body_too_large": "The request was refused without reading all of it.",
        "Bodies are bounded, so that no caller can fill the memory that others need.";
        "请求正文太大", "服务没有读完请求就拒绝了。", "正文大小有限制，以免一个调用方占满别人需要的内存。",
        "请拆分批量请求：最多 1000 项，1 MiB。";
    "target_too_long": "The request was refused without looking at what it asks for.",
        "The path and query are longer than any that this API has.";
        "请求网址太长", "服务没有查看内容就拒绝了请求。", "路径和查询参数比本接口的任何网址都长。",
        "请使用文档中的路径，请求内容应放在正文里。";
    "unsupported_media_type": "The body was not read.",
        "Its type, character set or content encoding is not one that the operation takes. Compressed bodies are refused: they can grow without bound.";
        "不接受该正文类型或编码", "正文没有被读取。", "正文的类型、字符集或编码不是此操作接受的。压缩正文可能无限膨胀，因此不接受。",
        "请发送 Content-Type: application/json，UTF-8，不加 Content-Encoding（令牌接口用 application/x-www-form-urlencoded）。";
    "range_not_satisfiable": "The service sent no part of the base.",
        "The range begins where the base has ended.";
        "没有所请求的字节", "没有发送基础文件的任何部分。", "请求的范围起点在文件末尾之后。",
        "请请求文件长度以内的字节（密钥列表中有长度），或不发送 Range。";
    "expectation_failed": "The request was refused because of its Expect header.",
        "The only expectation that HTTP defines is 100-continue.";
        "无法满足 Expect 的要求", "请求因 Expect 请求头被拒绝。", "HTTP 只定义了 100-continue 这一种要求。",
        "请不要发送 Expect 请求头，或只发送 Expect: 100-continue。";
    "wrong_host": "The request was not handled, because it names another server.",
        "The Host header is none of the names that the operator has set. This stops web pages that lead a browser to the node under a foreign name.";
        "本服务器不代表该主机名", "请求指向别的主机名，未被处理。", "Host 请求头不是运营方设置的名称。这样可以阻止网页借别的名称把浏览器引到本节点。",
        "请使用服务自己的主机名。运营方：把所有可用的名称写入 hosts。";
    "invalid_value": "The request could be read, but one or more values cannot be right, so nothing was looked up or stored.",
        "A value breaks a rule of its member: a check character, a date that does not exist, a word that is not in the list. The value itself is never repeated in the answer.";
        "某个值有误", "请求可以读取，但至少一个值不正确，服务没有查询也没有保存。", "某个值违反规则，例如校验码不符、日期不存在或词不在列表中。答复从不重复所发送的值。",
        "errors 的每一项指明成员和错误。校验码不符几乎都是读错证件：请重新读取。";
    "element_invalid": "The service evaluated none of the numbers.",
        "An element is not 32 bytes, is not in its only form, or is the identity, which would blind nothing.";
        "某个元素不属于该群", "服务没有对任何号码求值。", "元素不是 32 字节，不是唯一的编码形式，或者是单位元（单位元起不到盲化作用）。",
        "errors 指出是哪一个。请用非零标量重新盲化号码，并发送元素的 32 字节。";
    "blind_key_unknown": "The service evaluated none of the numbers.",
        "Each blind key lives for a week and a day. This one is over, or never was.";
        "盲查密钥已不在使用", "服务没有对任何号码求值。", "每个盲查密钥使用一周零一天。该密钥已停用，或从未存在。",
        "请重新读取 GET /v1/blind/keys，取用最新密钥的基础文件，并使用该密钥请求。";
    "idempotency_key_reused": "Nothing was stored: the key belongs to another request.",
        "Within 24 hours the same Idempotency-Key came with a different body. The first result would be wrong for this one.";
        "Idempotency-Key 已用于别的请求", "没有保存任何内容：该键属于另一个请求。", "24 小时内同一个 Idempotency-Key 带来了不同的正文，返回第一次的结果是错误的。",
        "每个新请求使用新的键，只有重复完全相同的正文时才用同一个键。";
    "batch_too_large_for_limit": "Nothing was looked up, and the batch cost nothing: no wait would let it pass.",
        "The batch has more items than the client, or its organization, may spend at once: its whole rate, or this node's part of it where several nodes share the rate without Redis.";
        "批量请求的条数超过限额的上限", "没有查询任何内容，也没有扣除限额：等待也无法通过。", "条数超过该客户端或其单位一次可用的全部限额；多个节点在没有 Redis 的情况下分摊限额时，则超过本节点的份额。",
        "请拆分：每批最多 items_max 条。如果这是正常用量，请向运营方申请更高的限速。";
    "limit_spent": "The request was not carried out; nothing is wrong with it.",
        "This client asked more in the last minute than its rate allows. Rates keep one client from guessing its way through all numbers.";
        "客户端的限额已用完", "请求未执行，请求本身没有问题。", "该客户端在最近一分钟内超过了限速。限速是为了防止有人逐个试探号码。",
        "请按 Retry-After 的秒数等待后继续。批量请求按条数计入限额。如果这是正常用量，请向运营方申请更高的限速。";
    "organization_limit_spent": "The request was not carried out; nothing is wrong with it.",
        "All clients of the organization together asked more than its rate allows.";
        "单位的限额已用完", "请求未执行，请求本身没有问题。", "本单位所有客户端合计超过了限速。",
        "本单位所有客户端共用此限额。请按 Retry-After 的秒数等待。";
    "numbers_spent": "The number was not looked up; nothing is wrong with it.",
        "The client has asked about more different people than it said it has guests. The limit keeps anybody from reading the registry number by number.";
        "新号码的额度已用完", "没有查询此号码，号码本身没有问题。", "该客户端核查的不同号码超过了申报的客人数量。此限额是为了防止逐个号码读出登记库。",
        "近一天内核查过的号码不计入额度。请按 Retry-After 的秒数等待；如果确是本单位的客人，请向运营方申报更多的每日客人数量。";
    "neighbourhood_spent": "The number was not looked up; nothing is wrong with it.",
        "The client has asked about unusually many people who were born on one day, or on one day in one county. That is how somebody tries numbers one after the other.";
        "同一生日或同一地区生日的号码过多", "没有查询此号码，号码本身没有问题。", "该客户端核查了异常多的同日出生、或同县同日出生的号码，这正是逐个试探号码的方式。",
        "其他生日和地区的号码照常核查。如果确是本单位的客人，请联系运营方。";
    "attempts_spent": "The card was not looked up with this start of validity.",
        "This client has sent more than three different starts for one number in a day. A client that tries dates could find out when the lost card begins.";
        "同一号码的有效期起始日期过多", "没有按此起始日期核查该证件。", "该客户端一天内为同一号码发送了三个以上不同的起始日期。逐个试探日期可以推出挂失证件的起始日期。",
        "请重新读取证件上的起始日期；已答复过的日期仍可核查。";
    "watches_spent": "The check was not made, because its watch was not stored.",
        "The client has as many active watches as its guests allow. A watch takes room in the registry and tells about its card later.";
        "该客户端的关注已达上限", "没有保存关注，因此也没有核查。", "该客户端有效的关注已达到申报客人数量所允许的上限。",
        "请按 Retry-After 的秒数等待最早的关注到期，或不带 watch_hours 核查。已关注的证件可以延长。";
    "address_limit_spent": "The request was refused before its token or secret was verified.",
        "Too many token requests or failed sign-ins came from this network address. That is how secrets are guessed.";
        "此地址的令牌请求或认证失败过多", "服务没有核对令牌或密钥就拒绝了请求。", "此网络地址发来的令牌请求或失败的认证太多，这正是猜测密钥的方式。",
        "令牌在到期前可重复使用，不要每次核查都申请。请按 Retry-After 的秒数等待。";
    "public_limit_spent": "The question was not answered; nothing is wrong with it.",
        "Too many questions without a token came from this network address.";
        "此地址的无令牌查询过多", "问题没有得到答复，问题本身没有错误。", "此网络地址发来的无令牌查询太多。",
        "请按 Retry-After 的秒数等待。令牌请求另有限额。";
    "address_share_held": "The request was refused before it had come in full; nothing is wrong with it.",
        "What has come from this network address and waits for its rest takes as much memory as one address may take.";
        "此地址同时发来的数据过多", "服务没有收完请求就拒绝了，请求本身没有问题。", "此网络地址发来、尚未收完的数据已占满一个地址可用的内存。",
        "请减少同时发送的请求，发送时不要停顿。请按 Retry-After 的秒数等待。";
    "abnormal_use": "The service stopped the client for a while, for right numbers too.",
        "Many of its numbers had a wrong check character. A few come from misread cards; many look like somebody who tries numbers.";
        "校验码错误的号码过多", "该客户端被暂停，正确的号码也暂不受理。", "该客户端发来的许多号码校验码有误。误读只会产生少量错误，大量错误像是在试探号码。",
        "请在发送号码之前核对校验码，并联系运营方。";
    "head_too_large": "The request was refused before its head had come in full.",
        "The request line and the headers of a request are bounded, so that no caller can fill the memory that others need.";
        "请求头太大", "服务没有收完请求头就拒绝了请求。", "请求行和请求头的大小有限制，以免一个调用方占满别人需要的内存。",
        "请求行和请求头合计最多 32 KiB、96 项。请检查代理是否附加了其他服务的 Cookie 或令牌。";
    "internal": "The service failed, and wrote it to the operator's log.",
        "Something happened that its developers did not foresee. With the request id the operator finds the line in the log.";
        "服务出错", "服务发生故障，并已告知运营方。", "发生了设计时没有预料的情况。运营方可凭 request_id 找到日志。",
        "没有给出核查结果。请重试；如仍出错，请把 request_id 告诉运营方。";
    "registry_unavailable": "The question was not answered, because the answer might be wrong.",
        "The node cannot prove how current its memory is, and the database does not answer it. An old \"not listed\" would let a thief pass.";
        "目前无法查询登记库", "问题没有得到答复，因为答复可能有误。", "节点无法证明内存中的数据是最新的，数据库也没有应答。过时的“未挂失”会让冒用者通过。",
        "没有核查结果：故障不是答案。请按 Retry-After 重试；在此之前按本行业无法核查时的规定办理。";
    "blind_behind": "The service evaluated none of the numbers, because the answer might miss a listing.",
        "The base of the key is being built, or a large file is being imported whose listings only the next base will have.";
        "盲查落后于登记库", "服务没有对任何号码求值，因为答复可能遗漏登记。", "该密钥的基础文件正在生成，或正在导入大文件，其中的登记要到下一个基础文件才会包含。",
        "在下一个基础文件生成之前无法盲查。请改用普通核查，或按 Retry-After 重试。";
    "reduced_capacity": "The service refused the request before it did any work on it.",
        "More requests are waiting than the node can answer in time. It answers some in time instead of all too late.";
        "节点目前的工作超出其能力", "请求在处理之前就被退回。", "等待的请求多于节点能及时答复的数量。宁可及时答复一部分，也不全部延误。",
        "没有查询也没有保存，原因也不是您的限额。请按 Retry-After 等待后重发，如有其他节点可发往其他节点。";
    "not_ready": "This node takes no requests now; others may.",
        "It is starting or stopping, does not reach the database, or its disk failed to confirm a write.";
        "此节点尚未就绪", "此节点目前不接受请求，其他节点可能可以。", "节点正在启动或停止、与数据库失去联系，或磁盘没有确认写入。",
        "请把请求发往其他节点。它会自行恢复；磁盘故障之后须由运营方重启。";
    "store_read_only": "The change was not stored.",
        "The database takes no writes: it is a replica, or somebody is moving it to another machine.";
        "登记库目前不接受变更", "所请求的变更没有保存。", "数据库目前只读：它是副本，或正在切换到另一台机器。",
        "没有保存任何内容。请按 Retry-After 用同一个 Idempotency-Key 重试。其间核查照常。";
    "outcome_unknown": "The change was sent to the database, which did not confirm it in time. It may be stored or not.",
        "The connection broke, or a standby did not answer, between the change and its confirmation. The service does not guess.";
        "不知道变更是否已保存", "变更已发往数据库，但没有按时得到确认，可能已保存，也可能没有。", "在变更与确认之间连接中断，或备用数据库没有应答。服务不作猜测。",
        "请用同一个 Idempotency-Key 重复完全相同的请求：只会保存一次。";
    "storage_full": "The change was not stored.",
        "The database has no space left on its disk.";
        "登记库的磁盘已满", "所请求的变更没有保存。", "数据库所在的磁盘没有剩余空间。",
        "没有保存任何内容。请告知运营方，并用同一个 Idempotency-Key 重复请求。其间核查照常。";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_explained_in_sentences() {
        let codes = |of: &[&str]| of.join(" ");
        let explained: Vec<_> = ALL.iter().map(|explanation| explanation.code).collect();
        let sent: Vec<_> = problem::ALL.iter().map(|kind| kind.code).collect();
        assert_eq!(codes(&explained), codes(&sent), "one explanation for each problem, in their order");
        for kind in problem::ALL {
            let Explanation { code, happened, why, zh } = of(kind).unwrap();
            for text in [happened, why, &kind.remedy] {
                let is_sentence = text.ends_with('.') && text.split_whitespace().count() >= 5;
                assert!(is_sentence && text.starts_with(char::is_uppercase), "{code}: {text}");
            }
            for text in [&zh.happened, &zh.why, &zh.remedy] {
                assert!(text.ends_with('。') && text.chars().count() >= 8, "{code}: {text}");
            }
            assert!(zh.title.chars().count() >= 4 && !zh.title.is_ascii(), "{code}");
        }
    }
}
