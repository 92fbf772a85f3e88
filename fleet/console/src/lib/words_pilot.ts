/** Labels for pilots: commands with parameters, decisions that vehicles wait for, control, duty, other aircraft. */

import type { RuleState } from './types_pilot';
import type { Entry, Language } from './words';

export const PILOT_WORDS = {
  moreCommands: { ja: 'ほかの指令', en: 'More commands' },
  unconfirmedStop: { ja: '停止は未確認', en: 'Stop NOT confirmed yet' },
  unconfirmedLong: {
    ja: '停止を送りましたが、止まったことはまだ確認できていません：{text}',
    en: 'A stop was sent; that it stands is not confirmed yet: {text}',
  },
  emergencyStop: { ja: '非常停止：{id}', en: 'Emergency stop: {id}' },
  emergencyNotSent: { ja: '非常停止を送信できませんでした', en: 'The emergency stop was NOT sent' },
  chooseSite: { ja: '{id} を着陸させる場所', en: 'Where {id} is to land' },
  chooseSiteHint: { ja: '近い順です。地図の印を押しても選べます。', en: 'The nearest first; or touch one on the map.' },
  dropPointsLast: { ja: 'やむを得ないとき（届け先：下の安全を確かめてください）', en: 'If there is no other way (drop points: make sure that it is clear)' },
  noSites: { ja: '着陸できる場所がありません。', en: 'There is no site where it could land.' },
  positionUnknown: { ja: '位置が不明のため、距離は表示できません。', en: 'Where it is is not known: no distances.' },
  nextStep: { ja: '内容を確認', en: 'See what it will do' },
  newSpeed: { ja: '新しい速度', en: 'New speed' },
  newAltitude: { ja: '地面からの高さ', en: 'Height above the ground' },
  fromTo: { ja: '{least}～{most} {unit}', en: '{least} to {most} {unit}' },
  notInLimits: { ja: '{least}～{most} {unit} の数値を入れてください。', en: 'Enter {least} to {most} {unit}.' },
  kilometres: { ja: '{n} km', en: '{n} km' },
  metres: { ja: '{n} m', en: '{n} m' },
  notAvailable: { ja: '利用できません（サービスにこの機能がありません）', en: 'Not available (this service does not have it)' },
  expiredOutcome: { ja: '時間切れ：送信されていません', en: 'Expired: it was not sent' },

  needsYou: { ja: '判断待ち', en: 'Needs you' },
  waitsSince: { ja: '{time} から待機', en: 'waiting for {time}' },
  goesOnIn: { ja: '{time} 後に待つのをやめます', en: 'goes on without in {time}' },
  overdue: { ja: '時間になりました', en: 'its time is over' },
  askCrossing: { ja: '道路の横断を待っています', en: 'It waits to cross a road' },
  crossingHint: {
    ja: '映像はまだありません。左右の安全を現地の人などに確かめてください。',
    en: 'There is no video yet: make sure by other means that the road is clear.',
  },
  roadNode: { ja: '横断地点 {node}', en: 'kerb {node}' },
  stateAge: { ja: '状態は {n} 秒前', en: 'state {n} s old' },
  stateTooOld: { ja: '状態が古いため送れません（{n} 秒前）', en: 'Its state is too old ({n} s)' },
  cross: { ja: '横断させる', en: 'Cross' },
  askDropClear: { ja: '届け先の上で待っています。下は安全ですか', en: 'It waits above the drop point. Is it clear below?' },
  clear: { ja: '安全：降下', en: 'Clear: come down' },
  notClear: { ja: '安全でない：飛ばす', en: 'Not clear: skip' },
  askUnlock: { ja: '受取人を待っています（解錠待ち）', en: 'It waits for the recipient to unlock' },
  askUnlockExpired: { ja: '受取人が来ません。解錠の時間が過ぎました', en: 'The recipient did not come: the time to unlock is over' },
  askResume: { ja: '通信が途切れたため止まりました。再開しますか', en: 'It stopped after a lost link. Go on?' },
  seeOnMap: { ja: '地図で見る', en: 'On the map' },

  control: { ja: '操縦', en: 'Control' },
  controlledByMe: { ja: '自分', en: 'me' },
  controlledByNobody: { ja: '未担当', en: 'nobody' },
  controlTitle: { ja: '操縦の担当：{who}', en: 'Controlled by {who}' },
  controllerSilent: { ja: '応答なし', en: 'silent' },
  takeControl: { ja: '担当する', en: 'Take control' },
  takeFirst: { ja: '担当してから指令を送れます（一時停止は誰でも送れます）。', en: 'Take control to command it. Anybody may hold it.' },
  askController: {
    ja: '{who} が担当しています。引き継いでから指令を送れます（一時停止は誰でも送れます）。',
    en: '{who} controls it and has to hand it over first. Anybody may hold it.',
  },
  offerTo: { ja: '引き継ぐ相手', en: 'Hand over to' },
  offerControl: { ja: '引き継ぐ', en: 'Hand over' },
  offeredTo: { ja: '{who} の返事待ち', en: 'Waiting for {who} to accept' },
  withdrawOffer: { ja: '取り下げる', en: 'Withdraw' },
  noOtherPilot: { ja: '勤務中の操縦者がほかにいません。', en: 'No other pilot is on duty.' },
  releaseControl: { ja: '手放す', en: 'Release' },
  offerAsked: { ja: '{who} から {id} の引き継ぎを頼まれています', en: '{who} asks you to take over {id}' },
  acceptOffer: { ja: '引き受ける', en: 'Accept' },
  declineOffer: { ja: '断る', en: 'Decline' },

  dutyStart: { ja: '勤務を始める', en: 'Start duty' },
  dutyEnd: { ja: '勤務を終える', en: 'End duty' },
  onDuty: { ja: '勤務中', en: 'On duty' },
  offDuty: { ja: '勤務外', en: 'Off duty' },
  dutyNotChanged: { ja: '勤務を変更できませんでした', en: 'Duty was not changed' },
  areYouThere: { ja: '応答してください', en: 'Are you there?' },
  areYouThereLong: {
    ja: '運航中の機体（{ids}）を担当していますが、{n} 秒間操作がありません。60 秒で警報になり、ほかの操縦者が担当を引き取れます。',
    en: 'You control {ids} under way, and nothing was touched for {n} s. At 60 s an alarm is raised and others may take over.',
  },
  iAmHere: { ja: 'はい、見ています', en: 'Yes, I am here' },

  aircraft: { ja: '有人機', en: 'Manned aircraft' },
  reportAircraft: { ja: '有人機を報告', en: 'Report an aircraft' },
  aircraftPlace: { ja: '見えた場所を地図で押してください', en: 'Touch the map where it was seen' },
  aircraftName: { ja: '呼び名（任意）', en: 'Name (optional)' },
  aircraftHeight: { ja: '高さ（標高 m、不明なら空欄）', en: 'Height (m above sea level; empty: not known)' },
  aircraftTrack: { ja: '進む方角（°）', en: 'Track (°)' },
  aircraftSpeed: { ja: '速さ（m/s）', en: 'Speed (m/s)' },
  aircraftRadius: { ja: '場所の誤差', en: 'Within' },
  aircraftValid: { ja: '有効な時間', en: 'Valid for' },
  heightUnknown: { ja: '高さ不明', en: 'height not known' },
  aircraftGone: { ja: '去った', en: 'Gone' },
  ago: { ja: '{time}前', en: '{time} ago' },
  noAircraft: { ja: '報告された有人機はありません。', en: 'No aircraft is reported.' },

  journal: { ja: '自動対応の記録', en: 'Done by rules' },
  noJournal: { ja: '自動対応の記録はありません。', en: 'Rules have done nothing.' },
  ruleActsIn: { ja: '{time} 後に自動で：{what}', en: 'in {time} by itself: {what}' },
  ruleActs: { ja: '自動で：{what}', en: 'by itself: {what}' },
  legendFence: { ja: '飛行できる範囲（選んだ便）', en: 'Fence of the chosen flight' },
  legendRally: { ja: '緊急着陸地点（選んだ便）', en: 'Rally points of the chosen flight' },

  groundChecks: { ja: '地上係の点検', en: "Ground crew's checks" },
  checkOk: { ja: 'よし', en: 'OK' },
  checkNotOk: { ja: 'だめ', en: 'Not OK' },
  checkOld: { ja: '時間が経ちました。もう一度確かめてください', en: 'Too long ago: look again' },
  checkNote: { ja: '何が悪いか', en: 'What is wrong?' },
  checkBy: { ja: '{who} {time}', en: '{who} {time}' },
  checksOpen: { ja: '点検が {n} 件残っています', en: '{n} checks are left' },
  checksDone: { ja: '点検はすべて「よし」です。荷物を積み終えましたか。', en: 'All checks are OK. Is everything loaded?' },
  checksBad: { ja: '不合格の点検が {n} 件あります。出発できません', en: '{n} checks are not OK: it may not set out' },
} as const satisfies Record<string, Readonly<Record<Language, string>>>;

export const SITE_KINDS: Record<string, Entry> = {
  hub: { ja: '拠点', en: 'Hub' },
  drone_port: { ja: 'ドローンポート', en: 'Drone port' },
  drop_point: { ja: '届け先', en: 'Drop point' },
  charging: { ja: '充電所', en: 'Charging' },
  emergency: { ja: '緊急着陸地点', en: 'Emergency site' },
};

export const RULE_STATES: Record<RuleState, Entry> = {
  asking: { ja: '判断待ち', en: 'asks' },
  acting: { ja: '実行中', en: 'acting' },
  done: { ja: '実行済み', en: 'done' },
  failed: { ja: '失敗', en: 'failed' },
  left: { ja: '操縦者が判断', en: 'left to the pilot' },
  noted: { ja: '記録のみ', en: 'noted' },
};

/** What rules do (`fleet/contingency_rules.py`). */
export const RESPONSES: Record<string, Entry> = {
  none: { ja: '', en: '' },
  hold: { ja: '一時停止', en: 'hold' },
  hold_clear: { ja: '道を空けて待つ', en: 'hold clear of it' },
  other_altitude: { ja: '高度を変える', en: 'another altitude' },
  nearest_site: { ja: '届く最寄りの地点に着陸', en: 'land at the nearest site in reach' },
  return: { ja: '帰還', en: 'return' },
  return_clear: { ja: '入らずに帰還', en: 'return clear of it' },
  land: { ja: '着陸', en: 'land' },
  skip: { ja: '届け先を飛ばす', en: 'skip the stop' },
  replan: { ja: '計画し直す', en: 'plan again' },
};

/** Where word of an aircraft came from. */
export const AIRCRAFT_SOURCES: Record<string, Entry> = {
  person: { ja: '人の報告', en: 'a person' },
  manual: { ja: '人の報告', en: 'a person' },
  adsb: { ja: 'ADS-B', en: 'ADS-B' },
};
