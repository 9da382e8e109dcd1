// Load test of Claude Code Bot's API: the guide's three levels one after the other, each held to the same objectives.
//
//   k6 run -e BASE_URL=https://staging.claude-code-bot.com -e API_KEY=... load-test.js
//
// RATE_SCALE and TIME_SCALE, 1 unless set, make rates and durations smaller, for a trial of the script itself.
import { check } from 'k6';
import http from 'k6/http';

const PRODUCTION = 'https://api.claude-code-bot.com';
const baseUrl = (__ENV.BASE_URL || '').replace(/\/+$/, '');
if (!baseUrl) {
  throw new Error('BASE_URL is not set: say what to test, such as https://staging.claude-code-bot.com');
}
if (baseUrl === PRODUCTION && __ENV.ALLOW_PRODUCTION !== '1') {
  throw new Error('BASE_URL is production: set ALLOW_PRODUCTION=1 if its users shall feel the burst');
}

const rateScale = Number(__ENV.RATE_SCALE || 1);
const timeScale = Number(__ENV.TIME_SCALE || 1);

// Requests per second, and for how many seconds.
const LEVELS = {
  normal: { rate: 100, hold: 300 },
  peak: { rate: 500, hold: 300 },
  burst: { rate: 1000, hold: 60 },
};
const RAMP = 60;
const OBJECTIVES = ['p(50)<100', 'p(95)<500', 'p(99)<1000'];

const seconds = (length) => Math.max(1, Math.round(length * timeScale));
const perSecond = (rate) => Math.max(1, Math.round(rate * rateScale));

// A level begins with the rate of the level before it, and when that has ended.
function scenarios() {
  const made = {};
  let begins = 0;
  let rate = 1;
  for (const [name, level] of Object.entries(LEVELS)) {
    made[name] = {
      // Arrivals, not users: users who wait for a slow server would ask less often, and hide how slow it is.
      executor: 'ramping-arrival-rate',
      startTime: `${begins}s`,
      startRate: rate,
      timeUnit: '1s',
      preAllocatedVUs: Math.max(10, Math.ceil(perSecond(level.rate) / 5)),
      maxVUs: Math.max(50, perSecond(level.rate) * 2),
      stages: [
        { duration: `${seconds(RAMP)}s`, target: perSecond(level.rate) },
        { duration: `${seconds(level.hold)}s`, target: perSecond(level.rate) },
      ],
      gracefulStop: '10s',
    };
    begins += seconds(RAMP) + seconds(level.hold);
    rate = perSecond(level.rate);
  }
  return made;
}

function thresholds() {
  const made = {
    // Go on for half a minute, so that one bad second at the start ends nothing; then spare the server.
    http_req_failed: [{ threshold: 'rate<0.01', abortOnFail: true, delayAbortEval: '30s' }],
    checks: ['rate>0.99'],
    // Requests that k6 could not send in time: above this the test says nothing about the server.
    dropped_iterations: ['rate<1'],
  };
  for (const name of Object.keys(LEVELS)) {
    made[`http_req_duration{scenario:${name}}`] = OBJECTIVES;
  }
  return made;
}

export const options = {
  scenarios: scenarios(),
  thresholds: thresholds(),
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max', 'count'],
};

export default function () {
  const answer = http.get(`${baseUrl}/v1/integrations?limit=20`, {
    headers: { Authorization: `Bearer ${__ENV.API_KEY || ''}` },
    tags: { name: 'GET /v1/integrations' },
    timeout: '10s',
  });
  check(answer, {
    'status is 200': ({ status }) => status === 200,
    'total is a number': (got) => got.status === 200 && typeof got.json('total') === 'number',
  });
}
