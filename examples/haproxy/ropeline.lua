-- Asks Ropeline whether a request may go to the shop, and leaves the answer in variables:
-- txn.verdict is pass, wait, no (refused without a page to wait at), bad (cannot be read) or fail (no answer).

local ASK = os.getenv("ROPELINE_AUTH")

-- Longest wait for an answer, in milliseconds.
local WAIT_MAX = 10000

-- Headers of a request that are not part of the question: they concern its connection or its body,
-- or name what it is about, which this script does itself.
local LEFT_OUT = {
    ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true,
    ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true, ["expect"] = true,
    ["content-length"] = true, ["host"] = true,
    ["x-forwarded-method"] = true, ["x-forwarded-host"] = true, ["x-forwarded-uri"] = true,
    ["x-original-method"] = true, ["x-original-url"] = true, ["x-original-uri"] = true,
}

-- What the shop and the fan are told, by the variable that keeps it.
local TOLD = {
    room = "ropeline-room", subject = "ropeline-subject", session = "ropeline-session",
    pass_expires = "ropeline-pass-expires", proof = "ropeline-proof", pass = "ropeline-pass",
    cookie = "set-cookie", reader = "ropeline-reader", page = "ropeline-join-url",
}

local function first(values)
    return values and values[0]
end

core.register_action("ropeline", { "http-req" }, function(txn)
    local asked = txn.http:req_get_headers()
    local headers = {}
    for name, values in pairs(asked) do
        if not LEFT_OUT[name] then
            headers[name] = {}
            for index, value in pairs(values) do
                headers[name][index + 1] = value
            end
        end
    end
    headers["x-forwarded-method"] = { txn.f:method() }
    headers["x-forwarded-host"] = { first(asked["host"]) or "" }
    headers["x-forwarded-uri"] = { txn.f:pathq() }
    -- An answer that is late or cannot be had leaves the verdict unset.
    local answer = core.httpclient():get({ url = ASK, headers = headers, timeout = WAIT_MAX })
    if answer == nil or answer.status == nil then
        return
    end
    local verdicts = { [200] = "pass", [400] = "bad", [401] = "wait", [403] = "no" }
    local verdict = verdicts[answer.status]
    if verdict == nil then
        return
    end
    for variable, name in pairs(TOLD) do
        local value = first(answer.headers[name])
        if value ~= nil then
            txn:set_var("txn." .. variable, value)
        end
    end
    txn:set_var("txn.verdict", verdict)
end, 0)
