/** Every label of the console, in both languages: an entry that lacks one does not compile. */

import type {
  Activity, AlarmState, AltitudeReference, CommandKind, CommandState, Evidence, HolderKind, MissionState, OrderState,
  PlanState, Restriction, Role, Urgency, VehicleKind,
} from './types';
import { PILOT_WORDS } from './words_pilot';

export type Language = 'ja' | 'en';
export type Entry = Readonly<Record<Language, string>>;

/** `{name}` is a place for a value; `t` asks for each one. */
export const WORDS = {
  ...PILOT_WORDS,
  appName: { ja: '届け Todoke', en: 'Todoke 届け' },
  console: { ja: '運航コンソール', en: 'Operations console' },
  language: { ja: '言語', en: 'Language' },
  loading: { ja: '読み込み中…', en: 'Loading…' },
  close: { ja: '閉じる', en: 'Close' },
  back: { ja: 'やめる', en: 'Do not' },
  tryAgain: { ja: 'もう一度', en: 'Try again' },
  dismiss: { ja: '消す', en: 'Dismiss' },

  flightLog: { ja: '飛行日誌', en: 'Flight log' },
  operationLog: { ja: '運行日誌', en: 'Log of operation' },
  incidents: { ja: '事故等の一覧', en: 'Incidents' },
  freezeIncident: { ja: '事故等を保全', en: 'Freeze incident' },
  freezeTitle: { ja: '{id} のデータを保全しますか', en: 'Freeze the data of {id}?' },
  freezeFirst: {
    ja: 'まず飛行を中止し、負傷者を救護して危険を防ぎ、必要なら119番・110番へ。事故・重大インシデントは国土交通大臣へ報告します。',
    en: 'First stop the flight, aid the injured and prevent danger; call 119 or 110. Accidents and serious incidents are reported to the Minister (MLIT).',
  },
  freezeText: {
    ja: '30分前から、終了するまでの記録が保存期間を過ぎても削除されなくなり、報告書の下書きができます。操縦には影響しません。',
    en: 'What is recorded from 30 minutes ago until it is closed is kept beyond retention, and a report is drafted. It commands nothing.',
  },
  freezeConfirm: { ja: '保全する', en: 'Freeze' },
  freezing: { ja: '保全しています…', en: 'Freezing…' },
  frozen: { ja: '保全しました：{id}', en: 'Frozen: {id}' },
  openReport: { ja: '報告書の下書きを開く', en: 'Open the draft report' },

  signInTitle: { ja: 'サインイン', en: 'Sign in' },
  userId: { ja: 'ユーザーID', en: 'User ID' },
  password: { ja: 'パスワード', en: 'Password' },
  signInButton: { ja: 'サインイン', en: 'Sign in' },
  signingIn: { ja: 'サインイン中…', en: 'Signing in…' },
  signOut: { ja: 'サインアウト', en: 'Sign out' },
  sessionEnded: { ja: 'セッションが終了しました。もう一度サインインしてください。', en: 'Your session has ended. Sign in again.' },
  linkRefused: {
    ja: 'このリンクは使用済みか期限切れです。新しいリンクを受け取るか、パスワードでサインインしてください。',
    en: 'This link was used or has expired. Get a new one, or sign in with your password.',
  },
  wrongPassword: { ja: 'ユーザーIDかパスワードが違います。', en: 'The user ID or the password is wrong.' },
  tooManyTries: { ja: '試行回数が多すぎます。しばらく待ってください。', en: 'Too many attempts. Wait a while.' },
  linkHint: {
    ja: '一回限りのリンクを受け取った方は、そのリンクを開くだけでサインインできます。',
    en: 'If you were given a one-time link, opening it is enough to sign in.',
  },

  noAnswer: { ja: 'サービスに接続できません。通信を確認してください。', en: 'The service cannot be reached. Check the connection.' },
  timedOut: { ja: '時間内に応答がありませんでした。', en: 'There was no answer in time.' },
  notAllowed: { ja: 'この操作の権限がありません。', en: 'You may not do this.' },
  serverFault: { ja: 'サービスで問題が起きました（{status}）。', en: 'The service has a problem ({status}).' },
  notRefreshed: { ja: '最新の情報を取得できません', en: 'The latest data could not be fetched' },

  liveOk: { ja: 'ライブ', en: 'Live' },
  liveDeadSince: { ja: '{time} からライブ情報が届いていません', en: 'No live data since {time}' },
  liveNever: { ja: 'ライブ情報がまだ届いていません', en: 'No live data yet' },
  liveDeadHint: {
    ja: '表示中の位置と状態は古い情報です。機体は自律動作を続けています。',
    en: 'Positions and states shown are old. Vehicles carry on by themselves.',
  },
  retryIn: { ja: '{n} 秒後に再接続', en: 'Reconnecting in {n} s' },
  retrying: { ja: '再接続中…', en: 'Reconnecting…' },
  waitingForData: { ja: '接続済み・データ待ち', en: 'Connected, waiting for data' },
  past: { ja: '過去の再生', en: 'Look back' },
  pastShown: { ja: '過去を再生中（現在ではありません）', en: 'The past is shown, not the present' },
  pastFrom: { ja: '開始', en: 'From' },
  pastLength: { ja: '長さ', en: 'Length' },
  pastSpeed: { ja: '速さ', en: 'Speed' },
  pastBegin: { ja: '再生する', en: 'Play' },
  pastPlay: { ja: '再生', en: 'Play' },
  pastPause: { ja: '一時停止', en: 'Pause' },
  pastSeek: { ja: '再生位置', en: 'Position' },
  pastEnded: { ja: '終わりまで再生しました', en: 'Played to the end' },
  pastLost: { ja: '再生が途切れました。再生ボタンで続けられます。', en: 'It broke off; press play to go on.' },
  pastOver: { ja: '解消', en: 'over' },
  backToNow: { ja: '現在に戻る', en: 'Back to live' },
  hours: { ja: '{n} 時間', en: '{n} h' },
  reconnectNow: { ja: '今すぐ再接続', en: 'Reconnect now' },
  simulatedClock: { ja: '模擬 ×{speed}', en: 'Simulated ×{speed}' },
  simulatedClockLong: { ja: '模擬時刻（{speed} 倍速）で動作中', en: 'Running on a simulated clock, {speed} times real time' },
  time: { ja: '時刻', en: 'Time' },

  map: { ja: '地図', en: 'Map' },
  vehicles: { ja: '機体', en: 'Vehicles' },
  orders: { ja: '注文', en: 'Orders' },
  missions: { ja: '運航', en: 'Missions' },
  plan: { ja: '計画', en: 'Plan' },
  sections: { ja: '表示切替', en: 'Sections' },

  mapOf: { ja: '{region}の地図', en: 'Map of {region}' },
  wholeRegion: { ja: '全域を表示', en: 'Whole region' },
  zoomIn: { ja: '拡大', en: 'Zoom in' },
  zoomOut: { ja: '縮小', en: 'Zoom out' },
  legend: { ja: '凡例', en: 'Legend' },
  legendCurrent: { ja: '実施中の運航', en: 'Mission under way' },
  legendPlanned: { ja: '予定の経路', en: 'Planned path' },
  legendProposed: { ja: '承認待ちの計画', en: 'Proposed plan' },
  legendTrail: { ja: '航跡（10分）', en: 'Trail (10 min)' },
  legendLane: { ja: 'ドローン航路', en: 'Drone lane' },
  zoneHeight: { ja: '高さ', en: 'Height' },
  zoneTimes: { ja: '時間', en: 'Times' },
  zoneMargin: { ja: '離隔', en: 'Kept away from' },
  zoneConditions: { ja: '条件', en: 'Conditions' },
  zoneAllHeights: { ja: '地表から上空まで', en: 'from the ground up, all heights' },
  zoneUpTo: { ja: '地表から{ceiling}まで', en: 'from the ground to {ceiling}' },
  zoneFrom: { ja: '{floor}から上', en: '{floor} and above' },
  zoneBetween: { ja: '{floor}から{ceiling}まで', en: '{floor} to {ceiling}' },
  zoneAlways: { ja: '常時', en: 'always' },
  zoneAllDay: { ja: '終日', en: 'all day' },
  zoneBegins: { ja: '{time}から', en: 'from {time}' },
  zoneEnds: { ja: '{time}まで', en: 'until {time}' },
  laneWidth: { ja: '幅', en: 'Width' },
  laneCapacity: { ja: '同時に飛べる機数', en: 'Drones at once' },
  laneOneWay: { ja: '一方通行', en: 'One way' },
  legendWayHome: { ja: '帰還の経路', en: 'Way home' },
  legendObstacle: { ja: '送電線・鉄塔など', en: 'Power lines, masts' },
  legendDrone: { ja: 'ドローン', en: 'Drones' },
  legendRobot: { ja: '配送ロボット', en: 'Robots' },
  dropBoth: { ja: '配達先（両方）', en: 'Drop point, both' },
  dropDrone: { ja: '配達先（空のみ）', en: 'Drop point, air only' },
  dropRobot: { ja: '配達先（陸のみ）', en: 'Drop point, road only' },
  noMap: {
    ja: 'この端末では地図を表示できません（WebGL 2 が必要です）。機体の一覧と操作は使えます。',
    en: 'This device cannot draw the map (it needs WebGL 2). The vehicle list and its controls work.',
  },
  showOnMap: { ja: '{id} を地図で表示', en: 'Show {id} on the map' },

  alarms: { ja: '警報', en: 'Alarms' },
  noAlarms: { ja: '警報なし', en: 'No alarms' },
  alarmCount: { ja: '警報 {n}', en: 'Alarms {n}' },
  newAlarms: { ja: '未確認の警報 {n} 件', en: '{n} alarms not acknowledged' },
  seen: { ja: '確認', en: 'Acknowledge' },
  seenLong: { ja: '{id} の警報を確認済みにする：{text}', en: 'Acknowledge: {id}, {text}' },
  seenAlarms: { ja: '確認済み（継続中）', en: 'Acknowledged, standing' },
  alarmAnswers: { ja: '対応：', en: 'Also:' },
  alarmNotChanged: { ja: '警報を変更できませんでした', en: 'The alarm was not changed' },
  shelve: { ja: '保留', en: 'Shelve' },
  unshelve: { ja: '保留をやめる', en: 'Unshelve' },
  shelveFor: { ja: '保留する時間', en: 'Shelve for' },
  shelveReason: { ja: '理由', en: 'Reason' },
  shelvedUntil: { ja: '{time} まで保留', en: 'Shelved until {time}' },
  shelvedAlarms: { ja: '保留中 {n}', en: '{n} shelved' },
  minutes: { ja: '{n} 分', en: '{n} min' },
  soundOn: { ja: '緊急警報の音：入', en: 'Sound of urgent alarms: on' },
  soundOff: { ja: '緊急警報の音：切', en: 'Sound of urgent alarms: off' },
  alarmSince: { ja: '{time} から（{ago}）', en: 'since {time} ({ago})' },
  locate: { ja: '地図', en: 'Map' },
  openMission: { ja: '運航を開く', en: 'Open mission' },

  notInBox: { ja: '入っていなかった荷物に印を付けてください（引き渡しを誰も見ていません）', en: 'Mark the parcels that were not in it (nobody saw them handed over)' },
  resolveTitle: { ja: '配達を誰も確認していません。どうなりましたか', en: 'Nobody saw this delivered. What became of it?' },
  resolveNote: { ja: 'どうやって分かったか（例：受取人に電話で確認）', en: 'How is that known? (such as: called the recipient)' },
  resolveDelivered: { ja: '届いていた', en: 'It was delivered' },
  resolveFound: { ja: '見つかった：棚へ戻し、計画し直す', en: 'Found: on the shelf, to be planned again' },
  resolveLost: { ja: '紛失', en: 'Lost' },
  holdLeft: { ja: '{time} 後に自動で帰還', en: 'returns by itself in {time}' },
  holdAll: { ja: '全機一時停止', en: 'Hold all' },
  allHeld: {
    ja: '運航中の全機に一時停止を送りました。待機中の機体は、停止を解くまで出発しません。',
    en: 'All that move were told to hold. What stands does not set out until somebody lifts that.',
  },
  launchConditions: { ja: '出発の条件', en: 'Conditions for launches' },
  weather: { ja: '気象', en: 'Weather' },
  weatherSays: {
    ja: '{time} 観測：{from}° から {mps} m/s、突風 {gust} m/s',
    en: '{time}: {mps} m/s from {from}°, gusts {gust} m/s',
  },
  noWeather: { ja: '報告がありません。ドローンは出発できません', en: 'Nothing is reported: no drone may set out' },
  reportWeather: { ja: '気象を報告', en: 'Report weather' },
  windFrom: { ja: '風向（吹いてくる方角、°）', en: 'Wind from (°)' },
  windSpeed: { ja: '風速（m/s）', en: 'Wind (m/s)' },
  gusts: { ja: '突風（m/s）', en: 'Gusts (m/s)' },
  temperature: { ja: '気温（℃）', en: 'Temperature (°C)' },
  rain: { ja: '雨（mm/h）', en: 'Rain (mm/h)' },
  visibility: { ja: '視程（m）', en: 'Visibility (m)' },
  report: { ja: '報告する', en: 'Report' },
  cancelForm: { ja: 'やめる', en: 'Cancel' },
  emergencyAirspace: { ja: '緊急用務空域', en: 'Emergency airspace' },
  airspaceChecked: { ja: '{time} に {by} が確認', en: 'Looked for at {time} by {by}' },
  airspaceNotChecked: { ja: '未確認。ドローンは出発できません', en: 'Nobody has looked: no drone may set out' },
  checkAirspace: { ja: '指定がないことを確認した', en: 'I have looked: there is none' },
  airspaceSource: { ja: '国土交通省の公示', en: "the civil aviation bureau's notice" },
  tooOld: { ja: '古い（{ago}前）：ドローンは出発できません', en: 'Too old ({ago}): no drone may set out' },
  grounded: { ja: '出発停止', en: 'Grounded' },
  lift: { ja: '停止を解く', en: 'Lift' },
  liftWhy: { ja: '停止を解く理由', en: 'Why may it set out again?' },

  timeline: { ja: '時間表', en: 'Timeline' },
  timelineLong: { ja: '時間表：計画と実績', en: 'Timeline: plan and what became of it' },
  openTimeline: { ja: '時間表を開く', en: 'Open timeline' },
  closeTimeline: { ja: '時間表を閉じる', en: 'Close timeline' },
  sumUnderWay: { ja: '運航中 {n}', en: '{n} under way' },
  sumComing: { ja: '予定 {n}', en: '{n} to come' },
  sumLate: { ja: '遅れ {n}', en: '{n} late' },
  sumEnded: { ja: '終了 {n}', en: '{n} ended' },
  sumProposed: { ja: '承認待ちの計画 {n} 便', en: '{n} trips proposed' },
  sumUnserved: { ja: '対応不可 {n}', en: '{n} not served' },
  timelineEmpty: { ja: '今日の運航はまだありません。計画を作成すると、ここに表示されます。', en: 'No missions yet today. A plan shows here as soon as it is made.' },
  now: { ja: '現在', en: 'Now' },
  proposed: { ja: '承認待ち', en: 'Proposed' },
  planned: { ja: '予定', en: 'Planned' },
  actual: { ja: '実績', en: 'Actual' },
  expected: { ja: '見込み', en: 'Expected' },
  late: { ja: '{n} 遅れ', en: '{n} late' },
  lateShort: { ja: '+{n}分', en: '+{n} min' },
  barSays: {
    ja: '{vehicle} 第{n}便、{state}、{from} から {to} まで、{orders}',
    en: '{vehicle} trip {n}, {state}, {from} to {to}, {orders}',
  },
  showInTimeline: { ja: '時間表で見る', en: 'Show on the timeline' },

  noVehicles: { ja: '登録された機体はありません。', en: 'No vehicle is registered.' },
  simulated: { ja: '模擬', en: 'Simulated' },
  connected: { ja: '接続中', en: 'Connected' },
  silentFor: { ja: '応答なし {time}', en: 'Silent for {time}' },
  neverHeard: { ja: '応答なし（未受信）', en: 'Never heard' },
  oldData: { ja: '古い情報', en: 'Old data' },
  battery: { ja: '電池', en: 'Battery' },
  altitudeHome: { ja: '高度（離陸点から）', en: 'Height above home' },
  speed: { ja: '速度', en: 'Speed' },
  heading: { ja: '方位', en: 'Heading' },
  noMission: { ja: '運航なし', en: 'No mission' },
  stepOf: { ja: '工程 {step}/{steps}', en: 'Step {step} of {steps}' },
  faults: { ja: '異常の報告', en: 'Faults reported' },

  openCard: { ja: '{id} の詳細と操作', en: 'Details and controls of {id}' },
  closeCard: { ja: '{id} の詳細を閉じる', en: 'Close details of {id}' },

  holdVehicle: { ja: '{id} を一時停止', en: 'Hold {id}' },
  whatWillHappen: { ja: '{id}：{kind} — 実行前の確認', en: '{id}: {kind} — before it is sent' },
  confirmKind: { ja: '{kind}を実行', en: 'Confirm: {kind}' },
  expiresInLong: { ja: '{n} 秒後に無効になります。何も送信されていません。', en: 'Expires in {n} s. Nothing has been sent.' },
  proposalExpired: { ja: '{kind}は時間切れです。何も送信されていません。', en: '{kind} expired. Nothing was sent.' },
  asking: { ja: '確認中…', en: 'Asking…' },
  sending: { ja: '送信中…', en: 'Sending…' },
  holdNotSent: { ja: '一時停止を送信できませんでした', en: 'Hold was NOT sent' },
  commandLog: { ja: '指令の記録', en: 'Commands' },
  by: { ja: '{who}', en: 'by {who}' },

  noOrders: { ja: '注文はありません。', en: 'There are no orders.' },
  openOrders: { ja: '対応中', en: 'Open' },
  doneOrders: { ja: '終了', en: 'Closed' },
  allOrders: { ja: 'すべて', en: 'All' },
  troubledOrders: { ja: '要注意', en: 'Trouble' },
  searchOrders: { ja: '番号・受取人・品物・場所・機体で検索', en: 'Search number, name, goods, place, vehicle' },
  nothingFound: { ja: '該当する注文はありません。', en: 'No order matches.' },
  tooLate: { ja: '時間帯に間に合いません', en: 'After its time window' },
  filterOrders: { ja: '注文の絞り込み', en: 'Filter orders' },
  importOrders: { ja: 'CSV取込', en: 'Import CSV' },
  imported: { ja: '{n} 件を取り込みました（既存 {already} 件）。', en: '{n} orders imported ({already} were known).' },
  importRefused: { ja: 'ファイルを取り込めません。何も変更していません。', en: 'The file was refused. Nothing was changed.' },
  eta: { ja: '到着予定', en: 'ETA' },
  order: { ja: '注文', en: 'Order' },
  recipient: { ja: '受取人', en: 'Recipient' },
  goods: { ja: '品物', en: 'Goods' },
  parcel: { ja: '荷物', en: 'Parcel' },
  from: { ja: '集荷', en: 'From' },
  to: { ja: '配達先', en: 'To' },
  window: { ja: '希望時間帯', en: 'Time window' },
  priority: { ja: '優先度', en: 'Priority' },
  vehicle: { ja: '機体', en: 'Vehicle' },
  reason: { ja: '理由', en: 'Reason' },
  custody: { ja: '荷物の受け渡し（棚から玄関まで）', en: 'Custody, from shelf to door' },
  noCustody: { ja: '記録はまだありません。', en: 'Nothing is recorded yet.' },
  evidence: { ja: '根拠：{kind}', en: 'Evidence: {kind}' },
  history: { ja: '経過', en: 'Events' },
  cancelOrder: { ja: '注文を取消', en: 'Cancel order' },

  noMissions: { ja: '運航はありません。計画を承認すると作られます。', en: 'There are no missions. Approving a plan makes them.' },
  mission: { ja: '運航', en: 'Mission' },
  departs: { ja: '出発', en: 'Depart' },
  returns: { ja: '帰着', en: 'Back' },
  startedAt: { ja: '開始', en: 'Started' },
  endedAt: { ja: '終了', en: 'Ended' },
  acceptedBy: { ja: '承認 {who}', en: 'Accepted by {who}' },
  currentMissions: { ja: '進行中と予定', en: 'Current and planned' },
  endedMissions: { ja: '終了した運航', en: 'Ended' },
  load: { ja: '積込完了', en: 'Loaded' },
  loadCheck: { ja: '次のすべてを確かめてください', en: 'Make sure of all of these' },
  checkParcels: { ja: '荷物を積んだ', en: 'The parcels are loaded' },
  checkBattery: { ja: '電池を装着した', en: 'The battery is fitted' },
  checkPad: { ja: '発着場所に人や物がない', en: 'The pad is clear' },
  accept: { ja: '出発承認', en: 'Accept launch' },
  acceptCheck: {
    ja: '{vehicle} の出発を {user} の名前で承認します。承認後、機体は自動で出発します。',
    en: 'Accepts the launch of {vehicle} in the name of {user}. The vehicle then starts by itself.',
  },
  unload: { ja: '荷下ろし完了', en: 'Unloaded' },
  unloadCheck: {
    ja: '配達できなかった荷物（{n} 個）を棚に戻しましたか。',
    en: 'Are the undelivered parcels ({n}) back on the shelf?',
  },
  cancelMission: { ja: '運航を取消', en: 'Cancel mission' },
  cancelCheck: { ja: 'この運航を取り消します。注文は計画待ちに戻ります。', en: 'Cancels this mission. Its orders wait to be planned again.' },
  working: { ja: '処理中…', en: 'Working…' },

  makePlan: { ja: '計画作成', en: 'Make a plan' },
  makePlanHint: { ja: '未計画の注文 {n} 件', en: '{n} orders wait to be planned' },
  decideFirst: { ja: '先に提案中の計画を承認または却下してください。', en: 'Decide on the proposed plan first.' },
  noPlans: { ja: '計画はまだありません。', en: 'There is no plan yet.' },
  planning: { ja: '最適な経路を計算しています…', en: 'Looking for the best routes…' },
  planBy: { ja: '{who} が {time} に作成', en: 'Asked for by {who} at {time}' },
  planWind: {
    ja: '風 {from}° から {mps} m/s（突風 {gust}）、{time} 報告',
    en: 'Wind from {from}°, {mps} m/s (gusts {gust}), reported at {time}',
  },
  planNoWind: { ja: '新しい気象報告なし：無風として計画', en: 'No recent weather report: planned for calm air' },
  decidedBy: { ja: '{who} が決定', en: 'Decided by {who}' },
  approve: { ja: '承認', en: 'Approve' },
  reject: { ja: '却下', en: 'Reject' },
  served: { ja: '配達', en: 'Served' },
  unserved: { ja: '対応不可', en: 'Not served' },
  distance: { ja: '距離', en: 'Distance' },
  energy: { ja: '電力量', en: 'Energy' },
  unservedOrders: { ja: '対応できない注文', en: 'Orders that are not served' },
  violations: { ja: '検証で見つかった違反', en: 'Violations found by the validator' },
  trip: { ja: '第{n}便', en: 'Trip {n}' },
  homeAgain: { ja: '帰着', en: 'Back home' },
  earlierPlans: { ja: '以前の計画', en: 'Earlier plans' },
} as const satisfies Record<string, Entry>;

export type Word = keyof typeof WORDS;

export const ROLES: Record<Role, Entry> = {
  viewer: { ja: '閲覧者', en: 'Viewer' },
  ground_crew: { ja: '地上係', en: 'Ground crew' },
  dispatcher: { ja: '配車担当', en: 'Dispatcher' },
  pilot: { ja: '遠隔操縦者', en: 'Remote pilot' },
  administrator: { ja: '管理者', en: 'Administrator' },
};

export const VEHICLE_KINDS: Record<VehicleKind, Entry> = {
  drone: { ja: 'ドローン', en: 'Drone' },
  robot: { ja: '配送ロボット', en: 'Delivery robot' },
};

export const GROUNDED = {
  vehicle: { ja: '機体', en: 'Vehicle' },
  type: { ja: '機種', en: 'Type' },
  region: { ja: '地域', en: 'Region' },
} as const satisfies Record<string, Entry>;

export const ACTIVITIES: Record<Activity, Entry> = {
  unknown: { ja: '不明', en: 'Unknown' },
  idle: { ja: '待機', en: 'Idle' },
  takeoff: { ja: '離陸', en: 'Taking off' },
  mission: { ja: '運航中', en: 'On mission' },
  hold: { ja: '一時停止中', en: 'Holding' },
  return: { ja: '帰還中', en: 'Returning' },
  land: { ja: '着陸中', en: 'Landing' },
  manual: { ja: '手動操縦', en: 'Manual' },
  fault: { ja: '異常', en: 'Fault' },
};

export const ORDER_STATES: Record<OrderState, Entry> = {
  received: { ja: '受付', en: 'Received' },
  planned: { ja: '計画済み', en: 'Planned' },
  loaded: { ja: '積込済み', en: 'Loaded' },
  underway: { ja: '配送中', en: 'Under way' },
  unconfirmed: { ja: '配達未確認', en: 'Unconfirmed' },
  delivered: { ja: '配達完了', en: 'Delivered' },
  failed: { ja: '配達不可', en: 'Failed' },
  cancelled: { ja: '取消', en: 'Cancelled' },
};

export const MISSION_STATES: Record<MissionState, Entry> = {
  planned: { ja: '積込待ち', en: 'To be loaded' },
  loaded: { ja: '出発承認待ち', en: 'To be accepted' },
  accepted: { ja: '出発承認済み', en: 'Launch accepted' },
  starting: { ja: '始動中', en: 'Starting' },
  underway: { ja: '運航中', en: 'Under way' },
  held: { ja: '一時停止中', en: 'On hold' },
  returning: { ja: '帰還中', en: 'Returning' },
  completed: { ja: '完了', en: 'Completed' },
  aborted: { ja: '中止', en: 'Aborted' },
  failed: { ja: '失敗', en: 'Failed' },
  cancelled: { ja: '取消', en: 'Cancelled' },
};

export const PLAN_STATES: Record<PlanState, Entry> = {
  queued: { ja: '順番待ち', en: 'Queued' },
  running: { ja: '計算中', en: 'Being computed' },
  proposed: { ja: '承認待ち', en: 'To be approved' },
  approved: { ja: '承認済み', en: 'Approved' },
  rejected: { ja: '却下', en: 'Rejected' },
  failed: { ja: '失敗', en: 'Failed' },
};

export const COMMANDS: Record<CommandKind, Entry> = {
  hold: { ja: '一時停止', en: 'Hold' },
  emergency_stop: { ja: '非常停止', en: 'Emergency stop' },
  cross: { ja: '横断', en: 'Cross' },
  clear: { ja: '降下許可', en: 'Drop point clear' },
  resume: { ja: '再開', en: 'Resume' },
  return: { ja: '帰還', en: 'Return' },
  land: { ja: '着陸', en: 'Land' },
  divert: { ja: '行き先変更', en: 'Divert' },
  speed: { ja: '速度変更', en: 'Speed' },
  altitude: { ja: '高度変更', en: 'Altitude' },
  release: { ja: '荷物を放す', en: 'Release' },
  skip: { ja: '届け先を飛ばす', en: 'Skip stop' },
  unlock: { ja: '解錠', en: 'Unlock' },
  abort: { ja: '運航打ち切り', en: 'Abort' },
};

export const COMMAND_STATES: Record<CommandState, Entry> = {
  proposed: { ja: '確認待ち', en: 'To be confirmed' },
  pending: { ja: '送信待ち', en: 'To be sent' },
  sent: { ja: '送信済み', en: 'Sent' },
  done: { ja: '実行済み', en: 'Done' },
  failed: { ja: '失敗', en: 'Failed' },
  expired: { ja: '期限切れ', en: 'Expired' },
};

export const HOLDERS: Record<HolderKind, Entry> = {
  shelf: { ja: '棚', en: 'Shelf' },
  vehicle: { ja: '機体', en: 'Vehicle' },
  recipient: { ja: '受取人', en: 'Recipient' },
};

export const EVIDENCE: Record<Evidence, Entry> = {
  sensor: { ja: '機体のセンサー', en: 'sensor' },
  inferred: { ja: '進行状況からの推定', en: 'inferred from progress' },
  person: { ja: '人の報告', en: 'a person' },
};

export const URGENCIES: Record<Urgency, Entry> = {
  urgent: { ja: '緊急', en: 'Urgent' },
  high: { ja: '重要', en: 'High' },
  medium: { ja: '注意', en: 'Medium' },
};

export const ALARM_STATES: Record<AlarmState, Entry> = {
  unacknowledged: { ja: '未確認', en: 'Unacknowledged' },
  acknowledged: { ja: '確認済み', en: 'Acknowledged' },
  returned: { ja: '解消・未確認', en: 'Over, not acknowledged' },
  shelved: { ja: '保留中', en: 'Shelved' },
};

/** What a zone asks of a flight, as its name and in the legend. */
export const RESTRICTIONS: Record<Restriction, Entry> = {
  prohibited: { ja: '飛行禁止区域', en: 'No-fly zone' },
  authorisation: { ja: '許可が必要な区域', en: 'Zone: authorisation needed' },
  conditional: { ja: '条件付きの区域', en: 'Zone: on conditions' },
  none: { ja: '注意区域（制限なし）', en: 'Zone: no restriction' },
};

/** What a height is above. */
export const REFERENCES: Record<AltitudeReference, Entry> = {
  agl: { ja: '対地 {m} m', en: '{m} m above ground' },
  amsl: { ja: '標高 {m} m', en: '{m} m above sea level' },
  ellipsoid: { ja: '楕円体高 {m} m', en: '{m} m above the ellipsoid' },
};

/** From Monday. */
export const WEEKDAYS: readonly Entry[] = [
  { ja: '月', en: 'Mon' }, { ja: '火', en: 'Tue' }, { ja: '水', en: 'Wed' }, { ja: '木', en: 'Thu' },
  { ja: '金', en: 'Fri' }, { ja: '土', en: 'Sat' }, { ja: '日', en: 'Sun' },
];

export const OBSTACLES: Record<string, Entry> = {
  power_line: { ja: '送電線', en: 'Power line' },
  mast: { ja: '鉄塔', en: 'Mast' },
  ropeway: { ja: '索道', en: 'Ropeway' },
};
