import { useQuery } from "@tanstack/react-query";
import { overviewQuery } from "../../api/queries.ts";
import { Failure, Skeleton } from "../../ui/notice.tsx";
import { Broken } from "./broken.tsx";
import { ControlPlane } from "./control-plane.tsx";
import { Headline } from "./headline.tsx";
import { Pools } from "./pools.tsx";
import { TopJobs } from "./top-jobs.tsx";
import { Waiting } from "./waiting.tsx";

/** One screen at 1440 x 900: what runs, what waits and why, what is broken, what could start now. */
export function OverviewPage(): React.ReactNode {
  const { data, error, refetch } = useQuery(overviewQuery);
  if (!data) {
    return <div className="page">{error ? <Failure error={error} retry={() => void refetch()} /> : <Skeleton lines={12} />}</div>;
  }
  return (
    <div className="page whole overview">
      <h1 className="hidden-text">Overview</h1>
      <Headline overview={data} />
      <div className="columns">
        <div className="column">
          <Pools pools={data.pools} linked />
          <TopJobs jobs={data.top_jobs} />
        </div>
        <div className="column">
          <Broken overview={data} />
          <Waiting waiting={data.waiting} />
          <ControlPlane overview={data} />
        </div>
      </div>
    </div>
  );
}
